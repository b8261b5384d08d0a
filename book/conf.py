"""Sphinx's settings. `python3 lab.py book` lays out the pages, says where the lab is published, and runs Sphinx."""

import os
import re
from typing import Any

REPOSITORY = os.environ["LAB_BOOK_REPOSITORY"]
OWNER_AND_NAME = REPOSITORY.removeprefix("https://github.com/")
BINDER = f"https://mybinder.org/v2/gh/{OWNER_AND_NAME}/main?urlpath=lab/tree/work/"
COLAB = f"https://colab.research.google.com/github/{OWNER_AND_NAME}/blob/{os.environ['LAB_BOOK_BRANCH']}/colab/"
CODESPACES = f"https://codespaces.new/{OWNER_AND_NAME}?quickstart=1"

project = "Event-driven systems, on a real Apache Kafka"
author = "the authors of the lab"
copyright = "lessons: CC BY 4.0; code: MIT"  # noqa: A001 - the name that Sphinx reads
extensions = ["myst_nb"]
suppress_warnings = ["misc.highlighting_failure"]  # a cell with `!` is IPython, not Python

nb_execution_mode = "off"  # outputs are the stored ones, which the tests compare
nb_code_prompt_show = "Show the result"
nb_code_prompt_hide = "Hide the result"
nb_merge_streams = True
myst_heading_anchors = 3
# The repository's own files are checked by the tests; asking for a road would start a machine.
linkcheck_ignore = ["http://localhost", re.escape(REPOSITORY) + "(/|$)", *map(re.escape, (BINDER, COLAB, CODESPACES))]

html_theme = "sphinx_book_theme"
html_title = "Event-driven systems"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False  # a page's source has its results in view
html_theme_options = {
    "repository_url": REPOSITORY,
    "use_repository_button": True,
    "use_download_button": False,
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "use_fullscreen_button": False,
}


def setup(app: Any) -> None:
    """Add the buttons that open a page's lesson elsewhere, after the theme has made its own."""
    app.connect("html-page-context", launch, priority=900)


def launch(_app: Any, pagename: str, _template: str, context: dict[str, Any], doctree: Any) -> None:
    """Offer the lesson, or the first one from a page that is none, where nothing is to be installed."""
    if doctree is None or "header_buttons" not in context:
        return
    name = pagename.removeprefix("notebooks/")
    lesson = f"{name}.ipynb" if name[:2].isdecimal() else "00_start_here.ipynb"
    roads = {
        "Binder": (BINDER + lesson, "nothing to install; what you do is lost when it ends"),
        "Colab": (COLAB + lesson, "with a Google account; the first cell installs the lab"),
        "Codespaces": (CODESPACES, "with a GitHub account; it keeps what you do"),
    }
    buttons = [
        {"type": "link", "text": name, "url": url, "tooltip": tooltip, "icon": "fas fa-rocket"}
        for name, (url, tooltip) in roads.items()
    ]
    group = {"type": "group", "tooltip": "Run this lesson", "icon": "fas fa-rocket", "buttons": buttons}
    context["header_buttons"].insert(0, group | {"label": "launch-buttons"})
