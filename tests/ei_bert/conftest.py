"""A small teacher that the tests of this folder share."""

import pytest
from ei_bert_fakes import write_teacher

from fedbert.ei_bert.teaching.teacher import Teacher, load_teacher


@pytest.fixture(scope="session")
def small_teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a BERT of two layers, 128 wide, with random weights."""
    return write_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def guide(small_teacher: str) -> Teacher:
    """The small teacher, loaded for the tests of a file."""
    return load_teacher(small_teacher)
