"""The learner's copies."""

import json
import os
from pathlib import Path

import pytest

from labsupport.course.copies import fresh, lessons_named, make_copies, renew
from labsupport.errors import LabError

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": ["# Größe"]},
        {"cell_type": "code", "id": "a", "metadata": {}, "source": ["1"], "outputs": [{"x": 1}], "execution_count": 7},
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def test_a_copy_has_no_outputs_and_everything_else(tmp_path):
    """Nothing is given away before the prediction, and no text is lost."""
    (tmp_path / "00_a.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    (copy,) = make_copies(tmp_path / "work", tmp_path)
    read = json.loads(copy.read_text(encoding="utf-8"))
    assert read["cells"][1] == NOTEBOOK["cells"][1] | {"outputs": [], "execution_count": None}
    assert read["cells"][0] == NOTEBOOK["cells"][0]


def test_a_learners_copy_is_never_overwritten(tmp_path):
    """What the learner wrote stays, also when the lesson has changed."""
    (tmp_path / "00_a.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    make_copies(tmp_path / "work", tmp_path)
    mine = tmp_path / "work" / "00_a.ipynb"
    mine.write_text("mine", encoding="utf-8")
    assert make_copies(tmp_path / "work", tmp_path) == []
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.fixture
def lesson(tmp_path) -> Path:
    """A lesson, and a learner's copy of it that has been changed."""
    path = tmp_path / "05_groups.ipynb"
    path.write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    make_copies(tmp_path / "work", tmp_path)
    mine = tmp_path / "work" / path.name
    mine.write_text("mine", encoding="utf-8")
    os.utime(mine, (1_776_340_800, 1_776_340_800))  # 16 April 2026, noon
    return path


def test_a_fresh_copy_keeps_the_earlier_one_with_its_date(lesson, tmp_path):
    """However often; nothing of the learner's is lost."""
    work = tmp_path / "work"
    kept = renew(lesson, work)
    assert kept == work / "05_groups.2026-04-16.ipynb"
    assert kept.read_text(encoding="utf-8") == "mine"
    assert (work / lesson.name).read_text(encoding="utf-8") == fresh(lesson)
    (work / lesson.name).write_text("mine again", encoding="utf-8")
    os.utime(work / lesson.name, (1_776_340_800, 1_776_340_800))
    assert renew(lesson, work) == work / "05_groups.2026-04-16-2.ipynb"
    assert kept.read_text(encoding="utf-8") == "mine"


def test_a_copy_that_is_fresh_leaves_nothing_behind(lesson, tmp_path):
    """Nor does one that is not there."""
    renew(lesson, tmp_path / "work")
    assert renew(lesson, tmp_path / "work") is None
    assert renew(lesson, tmp_path / "elsewhere") is None
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_lessons_are_named_by_their_digits(lesson, tmp_path):
    """Or all of them; another name is refused with those that there are."""
    assert lessons_named(["05"], tmp_path) == lessons_named(["all"], tmp_path) == [lesson]
    for name in ("5", "06", "", "05_groups", "../05", "ALL"):
        with pytest.raises(LabError, match="there are: 05_groups"):
            lessons_named([name], tmp_path)
