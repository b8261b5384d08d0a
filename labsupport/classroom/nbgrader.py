"""Lessons as source notebooks for nbgrader: one locked cell an exercise, one point each.

The cell asserts that the lab's own check passes, so nbgrader and learner see the same verdict. An answer that is a file
is not in the notebook, so nbgrader cannot grade it.
"""

import re
from copy import deepcopy

import nbformat

from labsupport.course import exercises

CHECK = re.compile(r'lab\.check\("(?P<id>\d\d-\d+)", (?P<answer>\w+)\)')
GRADED = {"schema_version": 3, "grade": True, "solution": False, "task": False, "locked": True, "points": 1}
# A lesson's cell may run for minutes on a busy machine; nbgrader's own limit is 30 s.
CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "kafka-lab"
c.ExecutePreprocessor.timeout = 300
"""


def source(lesson: nbformat.NotebookNode) -> tuple[nbformat.NotebookNode, list[str], list[str]]:
    """Return the notebook without outputs, the exercises that it grades, and those whose answer is a file."""
    made, graded, files = deepcopy(lesson), [], []
    cells = []
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
        found = CHECK.fullmatch(cell.source.strip()) if cell.id.startswith("check-") else None
        if not found:
            continue
        if exercises.by_id()[found["id"]].file:
            files.append(found["id"])
            continue
        graded.append(found["id"])
        locked = nbformat.v4.new_code_cell(f"assert {found[0]}.passed", id=f"grade-{found['id']}")
        locked.metadata["nbgrader"] = GRADED | {"grade_id": f"grade-{found['id']}", "cell_type": "code"}
        cells.append(locked)
    made.cells = cells
    return made, graded, files
