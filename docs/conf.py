"""Settings of Sphinx: one source for the site and for the man pages. `make docs` builds both, offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from docutils import nodes  # noqa: E402

from crawler import __version__  # noqa: E402 - the tree itself, also where it is not installed
from crawler.cli import COMMANDS  # noqa: E402

project = "ncrawl"
author = "The ncrawl authors"
copyright = author  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = ["myst_parser", "sphinx_click", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "tables"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # what an argument is, its docstring says
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of the Python API that have no place of their own here
smartquotes = False  # two hyphens are an option's
default_role = "code"  # as in the help
suppress_warnings = ["myst.header"]  # what is included begins at a level of its own

html_theme = "furo"
html_title = f"ncrawl {version}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}

man_show_urls = False
man_pages = [
    ("reference/commands/index", "ncrawl", "inventory crawler for NAVER Cloud Platform Container Registry", author, 1),
    *((f"reference/commands/{name}", f"ncrawl-{name}", said, author, 1) for name, said in COMMANDS.items()),
    ("reference/settings", "ncrawl.toml", "settings of ncrawl", author, 5),
    ("reference/formats", "ncrawl-formats", "what ncrawl writes", author, 5),
    ("reference/exit-codes", "ncrawl-exit-codes", "what ncrawl ends with", author, 7),
]


def setup(app: Sphinx) -> None:
    """Let the help's asterisks stand, and examples in docstrings; man pages have no links."""

    def escape(_app: Sphinx, _context: object, lines: list[str]) -> None:
        lines[:] = [line.replace("*", "\\*") for line in lines]

    def unlink(builder: Sphinx, tree: nodes.document, _name: str) -> None:
        if builder.builder.name == "man":  # which would print an empty address after each
            for link in list(tree.findall(nodes.reference)):
                if "://" not in link.get("refuri", ""):
                    link.replace_self(link.children)

    def mark_example(*said: object) -> None:
        """Let what is indented behind a blank line be code."""
        lines = said[-1]
        assert isinstance(lines, list)
        begins = (at for at in range(1, len(lines)) if lines[at].startswith("    ") and not lines[at - 1])
        if at := next(begins, 0):
            lines[at:at] = ["::", ""]

    app.connect("autodoc-process-docstring", mark_example, priority=400)  # before napoleon's
    app.connect("doctree-resolved", unlink)
    for part in ("description", "options", "epilog"):
        app.connect(f"sphinx-click-process-{part}", escape)
