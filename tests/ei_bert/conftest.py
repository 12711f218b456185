"""A small teacher that the tests of this folder share."""

import pytest
from ei_bert_fakes import write_teacher


@pytest.fixture(scope="session")
def small_teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a BERT of two layers, 128 wide, with random weights."""
    return write_teacher(tmp_path_factory.mktemp("teacher"))
