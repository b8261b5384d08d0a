"""What the book makes of lessons and documents."""

import json
import re

import pytest

from labsupport.commands.book_pages import ASKS, VERDICT, for_colab, front, lesson, linked
from labsupport.course.copies import NOTEBOOKS, cleared

REPOSITORY = "https://github.com/somebody/a-lab"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))


def read(path) -> dict:
    """The notebook as JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def cell(kind: str, source: str, *outputs: dict) -> dict:
    """A cell of a notebook."""
    more = {"outputs": list(outputs), "execution_count": 1} if kind == "code" else {}
    return {"cell_type": kind, "id": "c", "metadata": {"vary": {}}, "source": [source], **more}


PRINTED = {"output_type": "stream", "name": "stdout", "text": ["42\n"]}


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_result_is_in_view_between_a_prediction_and_the_end_of_its_section(path):
    """In every lesson; and nothing but outputs and tags is changed in a code cell."""
    stored = read(path)["cells"]
    asked = folded = False
    for before, after in zip(stored, lesson(read(path), REPOSITORY)["cells"], strict=True):
        text = "".join(before["source"])
        if before["cell_type"] == "markdown" and re.search(r"^#+ ", text, re.M):
            asked = False
        asked = asked or bool(ASKS.search(text))
        if before["cell_type"] == "code":
            assert after["source"] == before["source"]
            if asked and after["outputs"]:
                assert after["metadata"]["tags"] == ["hide-output"], before["id"]
                folded = True
            assert len(after["outputs"]) in (0, len(before["outputs"]))
    assert folded


def test_a_result_in_a_section_that_asks_nothing_is_in_view():
    """A new section begins anew, whatever the one before has asked."""
    ask, plain = cell("markdown", "## A\n\n**Predict:** how many?"), cell("markdown", "## B")
    cells = [ask, cell("code", "f()", PRINTED), plain, cell("code", "g()", PRINTED)]
    made = lesson({"cells": cells}, REPOSITORY)["cells"]
    assert [each["metadata"].get("tags") for each in made[1::2]] == [["hide-output"], []]


def test_what_an_unsolved_lesson_says_about_its_reader_is_left_out():
    """A prediction that nobody has made, a verdict on a stub, the list of what is solved."""
    for text in ('lab.predict("05a", ...)', 'lab.check("05-1", f)', "lab.progress()", 'path = lab.file("03-2")'):
        (made,) = lesson({"cells": [cell("code", text, PRINTED)]}, REPOSITORY)["cells"]
        assert made["outputs"] == []
    shown = {"output_type": "execute_result", "data": {VERDICT: {}, "text/html": "<p>"}, "metadata": {}}
    (made,) = lesson({"cells": [cell("code", "verdict", shown)]}, REPOSITORY)["cells"]
    assert made["outputs"][0]["data"] == {"text/html": "<p>"}


@pytest.mark.parametrize(
    ("text", "folder", "becomes"),
    [
        ("[a](../README.md#the-ladder)", "notebooks/", "[a](../index.md#the-ladder)"),
        ("[a](notebooks/05_x.ipynb)", "", "[a](notebooks/05_x.ipynb)"),
        ("[a](06_y.ipynb)", "notebooks/", "[a](06_y.ipynb)"),
        ("[a](../notebooks/claims.md)", "notebooks/", "[a](../notebooks/claims.md)"),
        ("[a](../labsupport/x.py)", "notebooks/", f"[a]({REPOSITORY}/blob/main/labsupport/x.py)"),
        ("[a](DESIGN.md#tests)", "", f"[a]({REPOSITORY}/blob/main/DESIGN.md#tests)"),
        ("![a](measured/road.png)", "", "![a](measured/road.png)"),
        ("[a](#here), [b](https://github.com/x)", "", "[a](#here), [b](https://github.com/x)"),
    ],
)
def test_a_link_leads_to_a_page_of_the_book_or_to_the_repository(text, folder, becomes):
    """Wherever it stands."""
    assert linked(text, folder, REPOSITORY) == becomes


def test_the_first_page_lists_every_lesson():
    """In the contents, which the theme shows beside each page."""
    text = front("# A\n", ["00_a.ipynb", "01_b.ipynb"], REPOSITORY)
    for page in ("notebooks/00_a", "notebooks/01_b", "notebooks/glossary", "notebooks/claims"):
        assert f"\n{page}\n" in text


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_colab_gets_each_lesson_without_outputs_and_with_a_cell_that_installs_the_lab(path):
    """In front of the setup cell; everything else is as in the lesson."""
    made = for_colab(cleared(read(path)), REPOSITORY)["cells"]
    assert not any(each.get("outputs") for each in made)
    code = ["".join(each["source"]) for each in made if each["cell_type"] == "code"]
    assert code[0].endswith(f"\n%pip install -q git+{REPOSITORY}")
    assert code[1].startswith("from labsupport import lesson")
    assert [each["id"] for each in made if each["id"] != "install"] == [each["id"] for each in read(path)["cells"]]
