"""Sphinx settings of the documentation site: `make docs` builds it, and fails on any warning."""

import logging
import sys
import tomllib
from pathlib import Path

import yaml

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_extensions"), str(DOCS.parent), str(DOCS.parent / "tools")]

PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]

logging.getLogger("alembic").setLevel(logging.WARNING)  # imported for the references

project = "Sennit"
author = copyright = PROJECT["authors"][0]["name"]
version = release = PROJECT["version"]
repository_url = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text())["repository-code"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "repository_pages", "rest_reference", "command_pages"]
exclude_patterns = ["_extensions"]
highlight_language = "none"
default_role = "code"
smartquotes = False  # options begin with two hyphens
nitpicky = True
# types of other libraries, whose own documentation is not fetched at build time
nitpick_ignore_regex = [("py:.*", r"(?!smkex).*")]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"Sennit {release}"
html_copy_source = False
html_theme_options = {
    "source_view_link": repository_url + "/blob/main/docs/{filename}",
    "top_of_page_buttons": ["view"],
}
