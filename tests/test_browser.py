"""The lab as its users meet it: JupyterLab in a browser."""

import contextlib
import json
import shutil

import pytest

from labsupport.course import exercises, progress
from labsupport.course.copies import NOTEBOOKS, fresh
from labsupport.course.verdict import Outcome, Verdict
from labsupport.settings import CHECKOUT
from labsupport.waiting import until

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)
LESSON = "00_start_here.ipynb"


@pytest.fixture
def page():
    """A page of a browser that has never seen the lab."""
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        chromium.close()


@pytest.fixture
def copy():
    """A folder in work/ with a copy of lesson 00 in which its exercise is solved; gone after the test."""
    folder = CHECKOUT / "work" / "browser-test"
    folder.mkdir(parents=True, exist_ok=True)
    notebook = json.loads(fresh(NOTEBOOKS / LESSON))
    (answer,) = [cell for cell in notebook["cells"] if cell["id"] == "ex-00-1"]
    answer["source"] = exercises.by_id()["00-1"].reference
    path = folder / LESSON
    path.write_text(json.dumps(notebook), encoding="utf-8")
    yield path
    shutil.rmtree(folder)


def choose(page, *items: str) -> None:
    """Click through a menu of JupyterLab's menu bar."""
    page.locator(f'.lm-MenuBar-itemLabel:text-is("{items[0]}")').click()
    page.locator(f'.lm-Menu-itemLabel:text-is("{items[1]}")').click()


def ran(page, copy) -> list[dict]:
    """The code cells, when the kernel has run them all and the notebook is saved."""

    def done():
        page.keyboard.press("Control+s")
        with contextlib.suppress(json.JSONDecodeError):  # it is just being written
            cells = [each for each in json.loads(copy.read_text())["cells"] if each["cell_type"] == "code"]
            return cells if all(cell["execution_count"] for cell in cells) else None

    return until(done, 300, "all cells to be run", every=0.5)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")
def test_lesson_00_runs_in_a_browser_checks_an_answer_and_runs_again(start, page, copy):
    """`lab.py` opens; all cells run without an error; the verdict is seen; a new kernel runs the lesson as well."""
    address, token = start().address().groups()
    page.goto(f"{address}/lab/tree/{copy.relative_to(CHECKOUT).as_posix()}?token={token}")
    page.get_by_text("| Idle").wait_for()  # of a kernel that is not there yet JupyterLab asks which it shall be
    choose(page, "Run", "Run All Cells")
    for _ in range(2):
        cells = ran(page, copy)
        assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
        assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
        verdict = page.locator(".jp-OutputArea-output", has_text="PASS 00-1")
        verdict.scroll_into_view_if_needed()
        assert verdict.is_visible()
        output = page.locator(".jp-RenderedText pre").first
        assert output.evaluate("it => getComputedStyle(it).wordBreak") == "normal"  # words stay whole: custom.css
        choose(page, "Kernel", "Restart Kernel and Clear Outputs of All Cells…")
        page.get_by_role("button", name="Confirm Kernel Restart").click()
        page.locator(".jp-Dialog").wait_for(state="detached")
        page.get_by_text("| Idle").wait_for()
        assert not verdict.count()
        choose(page, "Run", "Run All Cells")


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")
def test_the_front_page_leads_to_each_lesson_and_to_the_glossary(start, page, elsewhere):
    """What JupyterLab opens on; links open in it, with the keyboard too; a reload shows what was solved since."""
    address, token = start().address().groups()
    page.goto(f"{address}/lab/tree/work/home.md?token={token}")
    front = page.locator(".jp-MarkdownViewer", has_text="Event-driven systems, on a real Apache Kafka")
    front.get_by_text("You have solved 0 of").wait_for()
    assert front.get_by_text("is running on this computer at").is_visible()
    names = page.locator(".jp-DirListing-itemText", has_text=".ipynb")
    names.first.wait_for()
    assert names.evaluate_all("all => all.filter(it => it.scrollWidth > it.clientWidth).length") == 0
    links = front.locator("table a")
    assert links.count() == len(list(NOTEBOOKS.glob("*.ipynb")))
    front.get_by_role("link", name="00 · Is my lab alive?").first.focus()
    page.keyboard.press("Enter")
    tab = page.locator(".jp-NotebookPanel").get_by_role("heading", name="00 · Is my lab alive?")
    tab.wait_for()
    progress.remember(elsewhere, Verdict("00-1", Outcome.PASS))
    page.goto(f"{address}/lab/tree/work/home.md")
    front.get_by_text("You have solved 1 of").wait_for()
    assert front.get_by_text("Next: 01").is_visible()
    front.get_by_role("link", name="Glossary").click()
    page.locator(".jp-MarkdownViewer").get_by_role("heading", name="Glossary").wait_for()  # shown, not as source
