"""How `make docs` builds the site: Sphinx, MyST for Markdown and notebooks, the theme Furo; no network."""

import sys
from pathlib import Path

from fedbert import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "fedbert"
author = "the fedbert authors"
copyright = "2026, the fedbert authors"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_ext", "compression/*.json"]
# The tables of compressions begin as they stand within a longer page.
suppress_warnings = ["myst.header"]
# Links to headings (page.md#heading) get the anchors that a repository's own view of Markdown gives them.
myst_heading_anchors = 4

# Notebooks are shown with the outputs that they were saved with; tests/docs runs them.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}

# Blocks without a language are commands, formulas and files, not Python.
highlight_language = "none"

# Docstrings are plain text with `names` in backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": False}
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"fedbert {__version__}"
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
# A page loads nothing from elsewhere: readers are followed by nobody, and the site works from a disk.
html_theme_options = {"light_css_variables": {"font-stack": "system-ui, sans-serif"}}
