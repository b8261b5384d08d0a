"""A class list: one learner a line (pure).

A name becomes part of topic names. It has no dash, so that no learner's prefix `lab-anna-` begins another's.
"""

import re
import unicodedata

from labsupport.errors import LabError

NAME = re.compile(r"[a-z0-9_]{1,50}")
SPELT = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa"}


def parse(text: str) -> list[str]:
    """Return the names in the list. Empty lines and what follows a # do not count.

    Raises LabError, which names every line that is wrong and suggests a name.
    """
    names: dict[str, int] = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.partition("#")[0].strip().lstrip("\ufeff")
        if not name:
            continue
        if problem := _problem(name):
            wrong.append(f"line {number}: {name!r} {problem}")
        elif name in names:
            wrong.append(f"line {number}: {name!r} stands in line {names[name]} already; two learners need two names")
        names.setdefault(name, number)
    if wrong:
        raise LabError("The class list cannot be used.", "\n".join(wrong), "correct these lines; nothing was changed")
    if not names:
        raise LabError("The class list cannot be used.", "it has no name", "write one learner's name on each line")
    return list(names)


def require(name: str) -> str:
    """Return the name of a learner. Raises LabError if it cannot be one."""
    if problem := _problem(name):
        raise LabError(f"{name!r} is no learner's name.", problem, "`class list` shows the names")
    return name


def _problem(name: str) -> str:
    if name.lower().startswith("lab-"):
        return "is a name of the lab's own, and could have the teacher's rights"
    if NAME.fullmatch(name):
        return ""
    return f"has other characters than a-z, 0-9 and _, or more than 50: {suggestion(name)}?"


def suggestion(name: str) -> str:
    """Return a name that can be used, as near as possible: `anna_mueller` for "Anna Müller"."""
    spelt = "".join(SPELT.get(each, each) for each in unicodedata.normalize("NFC", name).lower())
    plain = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50] or "learner_1"
