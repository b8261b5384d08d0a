"""The exercises, one module for each lesson. Each module has a tuple `EXERCISES`; nothing else has to know of it."""

import importlib
import pkgutil

from labsupport.course.exercise import Exercise


def by_id() -> dict[str, Exercise]:
    """Every exercise of the course, by its id such as "02-1", in the order of the lessons."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {exercise.id: exercise for module in modules for exercise in module.EXERCISES}


def of_lesson(number: str = "") -> list[Exercise]:
    """The exercises of one lesson, named by its two digits, in their order; without a number, those of all."""
    return [exercise for exercise in by_id().values() if exercise.id.startswith(number)]
