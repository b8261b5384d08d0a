"""Finds the import for a name that a learner's code uses without defining it."""

import sys
from importlib import import_module

import labsupport

# modules from which the lessons import names
TAKEN_FROM = (
    "kafka",
    "kafka.errors",
    "kafka.structs",
    "collections",
    "contextlib",
    "concurrent.futures",
    "dataclasses",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "itertools",
    "pathlib",
    "uuid",
)


def name_advice(name: str) -> str:
    """Advice for a NameError: the missing import, or the cells that define the name."""
    if line := _import_of(name):
        return f"an import is missing: {line}, in the lesson's first code cell or above your function"
    return "run the cells above that define the name, or is it misspelt?"


def _import_of(name: str) -> str:
    if name in labsupport.__all__:
        return f"from labsupport import {name}"
    if name in sys.stdlib_module_names:
        return f"import {name}"
    home = next((home for home in TAKEN_FROM if name in vars(import_module(home)) and not name.startswith("_")), "")
    return f"from {home} import {name}" if home else ""
