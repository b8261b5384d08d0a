"""The book, built, and looked at in a browser."""

import html
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from labsupport.commands import book
from labsupport.course.copies import NOTEBOOKS
from labsupport.errors import LabError
from labsupport.settings import CHECKOUT
from labsupport.setup import installed

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)
PHONE = {"width": 420, "height": 850}
LESSON = "notebooks/05_consumer_groups.html"

pytestmark = pytest.mark.proven_by(
    "book/*",
    "book/static/*",
    "notebooks/*",
    "README.md",
    "measured/*",
    "labsupport/commands/book*.py",
    "pyproject.toml",
)


@pytest.fixture(scope="module")
def site(settings, tmp_path_factory) -> Path:
    """The built book."""
    folder = tmp_path_factory.mktemp("book") / "site"
    pages = book.build(settings, folder)
    assert pages >= len(list(NOTEBOOKS.glob("*.ipynb"))) + 3  # README, glossary, claims
    return folder


@pytest.fixture
def page():
    """A page of a phone's browser."""
    if BROWSER is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium.new_page(viewport=PHONE)
        chromium.close()


def test_every_link_within_the_book_resolves(site):
    """Pages, pictures and styles are there, and so is each anchor."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html") if "_static" not in path.parts}
    anchors = {path: set(map(html.unescape, re.findall(r'\bid="([^"]+)"', text))) for path, text in pages.items()}
    checked = 0
    for path, text in pages.items():
        for target in map(html.unescape, re.findall(r'\b(?:href|src)="([^"]+)"', text)):
            split = urlsplit(target)
            if split.scheme or split.netloc:
                continue
            there = (path.parent / unquote(split.path)).resolve() if split.path else path
            assert there.exists(), f"{path.name}: {target}"
            if split.fragment and there in anchors:
                assert unquote(split.fragment) in anchors[there], f"{path.name}: {target}"
            checked += 1
    assert checked > 1000


def test_the_sites_colab_notebooks_are_those_of_the_buttons(site):
    """Each lesson's page leads to all three roads; Colab's leads to a notebook that is published with the book."""
    address = book.repository().removeprefix("https://github.com/")
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert f"https://mybinder.org/v2/gh/{address}/main?urlpath=lab/tree/work/{path.name}" in text
        assert f"https://colab.research.google.com/github/{address}/blob/{book.BRANCH}/colab/{path.name}" in text
        assert f"https://codespaces.new/{address}" in text
        assert (site / "colab" / path.name).is_file()


def test_no_page_scrolls_sideways_on_a_phone(site, page):
    """Nor does anything in the text: long lines of code and output wrap, and so do tables."""
    for path in [*sorted(site.glob("*.html")), *sorted(site.glob("notebooks/*.html"))]:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path.name
        wide = "all => all.filter(it => it.scrollWidth > it.clientWidth + 2).map(it => it.innerText.slice(0, 80))"
        assert page.eval_on_selector_all("main pre", wide) == [], path.name


def test_a_lesson_asks_before_it_answers(site, page):
    """A result behind a prediction is not seen until the reader asks for it; nor is what happened."""
    page.goto((site / LESSON).as_uri())
    predict = page.get_by_text("Predict:").first
    predict.scroll_into_view_if_needed()
    assert predict.is_visible()
    result = page.locator("div.cell_output", has_text="A and B poll: {'A': [0, 1], 'B': [2]}")
    assert result.count() == 1
    assert not result.is_visible()
    assert not page.get_by_text("05a · predicted").is_visible()
    page.locator("details.hide.below-input", has=result).locator("summary").click()
    assert result.is_visible()
    explained = page.locator("details", has_text="What happened").first
    assert explained.get_attribute("open") is None


def test_the_book_is_searched_and_read_in_the_dark(site, page):
    """The search finds the lessons with a word; the theme's button changes the colours."""
    page.goto((site / "search.html").as_uri() + "?q=heartbeat")
    page.locator("#search-results a", has_text="06 ·").first.wait_for()
    page.goto((site / "index.html").as_uri())
    light = "getComputedStyle(document.body).backgroundColor == 'rgb(255, 255, 255)'"
    page.wait_for_function(light)  # as the system
    page.locator("button.theme-switch-button").click()
    page.locator("button.theme-change-button", has_text="Dark").click()
    page.wait_for_function(f"!({light})")


def test_a_warning_is_an_error(settings, site, tmp_path):
    """A link to a page that is not there stops the build, and is named."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text("# A\n\n[b](no-such-page.md)\n")
    with pytest.raises(LabError, match=r"no-such-page"):
        book._sphinx(book.environment(settings), "html", source, tmp_path / "made")


def test_a_folder_with_other_things_is_not_overwritten(settings, tmp_path):
    """Such as one's home."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(LabError, match="other things"):
        book.build(settings, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_workflow_publishes_the_site_and_nothing_else(tmp_path):
    """Its commands, in a repository with another one to push to; and they are lab.py's."""
    workflow = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["publish"]["steps"]
    assert "python lab.py book --to site" in [step.get("run") for step in steps]
    (publish,) = [step["run"] for step in steps if step.get("name") == "publish"]
    here, there = tmp_path / "here", tmp_path / "there"
    mine = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@localhost"}
    mine |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@localhost"}

    def shell(text: str, **environment: str) -> str:
        run = subprocess.run(
            ["bash", "-ec", text], cwd=here, env=os.environ | mine | environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    here.mkdir()
    (here / "site" / "_static").mkdir(parents=True)
    for name in ("index.html", ".nojekyll", "_static/book.css"):
        (here / "site" / name).write_text(name)
    (here / ".gitignore").write_text("/site/\n")
    shell(f"git init -q && git add .gitignore && git commit -qm one && git init -q --bare {there}")
    shell(f"git remote add origin {there}")
    shell(publish, GITHUB_SHA=shell("git rev-parse HEAD").strip())
    assert shell("git ls-files") == ".gitignore\n"  # as before
    published = shell(f"git --git-dir {there} ls-tree -r --name-only {book.BRANCH}").split()
    assert published == [".nojekyll", "_static/book.css", "index.html"]


def test_what_the_book_needs_is_pinned():
    """As the extra in pyproject.toml names it."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*project["optional-dependencies"]["book"]} <= installed.pins(book.REQUIREMENTS).keys()
