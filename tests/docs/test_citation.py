"""CITATION.cff and the package say the same of themselves."""

import tomllib

import yaml
from pages import ROOT


def test_the_citation_is_of_this_version() -> None:
    """Version and licence are the package's; the paper that the method is from is named."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert cited["version"] == project["version"]
    assert cited["license"] == "Apache-2.0"
    assert (ROOT / "LICENSE").read_text("utf-8").lstrip().startswith("Apache License")
    assert [each["value"] for each in cited["references"][0]["identifiers"]] == ["arXiv:2507.04636"]
