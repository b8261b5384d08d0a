"""The learner's copies."""

import json

from labsupport.course.copies import make_copies

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
    (copy,) = make_copies(tmp_path, tmp_path / "work")
    read = json.loads(copy.read_text(encoding="utf-8"))
    assert read["cells"][1] == NOTEBOOK["cells"][1] | {"outputs": [], "execution_count": None}
    assert read["cells"][0] == NOTEBOOK["cells"][0]


def test_a_learners_copy_is_never_overwritten(tmp_path):
    """What the learner wrote stays, also when the lesson has changed."""
    (tmp_path / "00_a.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    make_copies(tmp_path, tmp_path / "work")
    mine = tmp_path / "work" / "00_a.ipynb"
    mine.write_text("mine", encoding="utf-8")
    assert make_copies(tmp_path, tmp_path / "work") == []
    assert mine.read_text(encoding="utf-8") == "mine"
