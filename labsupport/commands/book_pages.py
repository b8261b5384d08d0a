"""The lessons and documents as the book shows them (pure): the book asks before it answers."""

import re
from collections.abc import Sequence
from typing import Any

INSTALL = "%pip install -q git+"
VERDICT = "application/vnd.kafka-lab.verdict+json"
# What an unsolved lesson says about its reader, who in the book is nobody.
PERSONAL = re.compile(r"^\s*lab\.(predict|check|progress|hint|solution)\(|= lab\.file\(", re.M)
ASKS = re.compile(r"\*\*Predict|^\s*lab\.predict\(", re.M)
LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\))")


def lesson(notebook: dict[str, Any], repository: str) -> dict[str, Any]:
    """The notebook with its results folded behind its predictions, and its links leading to pages or sources.

    From where a section asks for a prediction to the section's end, results are folded.
    """
    cells, asked = [], False
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            asked = bool(ASKS.search(text)) or (asked and not re.search(r"^#+ ", text, re.M))
            cells.append(cell | {"source": linked(text, "notebooks/", repository)})
            continue
        asked = asked or bool(ASKS.search(text))
        outputs = [] if PERSONAL.search(text) else [_shown(each) for each in cell["outputs"]]
        tags = ["hide-output"] if asked and outputs else []
        cells.append(cell | {"outputs": outputs, "metadata": {"tags": tags}})
    return notebook | {"cells": cells}


def _shown(output: dict[str, Any]) -> dict[str, Any]:
    """The output without what only JupyterLab renders."""
    data = output.get("data")
    return output | {"data": {kind: data[kind] for kind in data if kind != VERDICT}} if data else output


def front(readme: str, lessons: Sequence[str], repository: str) -> str:
    """The README as the first page, with the table of contents; `lessons` are the notebooks' names."""

    def contents(caption: str, pages: Sequence[str]) -> str:
        return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""])

    pages = [f"notebooks/{name.removesuffix('.ipynb')}" for name in lessons]
    look_up = ["notebooks/glossary", "notebooks/claims"]
    return linked(readme, "", repository) + contents("Lessons", pages) + contents("To look up", look_up)


def linked(text: str, folder: str, repository: str) -> str:
    """The Markdown with its links rewritten: `folder` is the document's, "" or "notebooks/".

    Lessons, glossary, claims and README are pages of the book, pictures lie beside them; all else is in the repository.
    """

    def rewritten(match: re.Match) -> str:
        before, target, heading = match.groups(default="")
        path = target.removeprefix("../") if target.startswith("../") else folder + target
        if path == "README.md":
            return f"{before}{'../' if folder else ''}index.md{heading}"
        if path.startswith("notebooks/") or path.endswith(".png"):
            return match[0]
        return f"{before}{repository}/blob/main/{path}{heading}"

    return LINK.sub(rewritten, text)


def for_colab(notebook: dict[str, Any], repository: str) -> dict[str, Any]:
    """The notebook (without outputs) with a first cell that installs the lab into a hosted Jupyter."""
    install: dict[str, Any] = {
        "cell_type": "code",
        "id": "install",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": f"# Installs the lab on this machine, which is new each time: about a minute.\n{INSTALL}{repository}",
    }
    return notebook | {"cells": [notebook["cells"][0], install, *notebook["cells"][1:]]}
