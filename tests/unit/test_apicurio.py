"""Apicurio's archive: fetched, refused, and run. With a small archive in its place, so that kilobytes are moved."""

import dataclasses
import hashlib
import io
import shutil
import tarfile
from collections import namedtuple

import pytest

from labsupport.broker import processes
from labsupport.errors import LabError
from labsupport.registry import apicurio


@pytest.fixture
def small(monkeypatch, settings, tmp_path):
    """Settings with an empty cache and a folder that has an archive, with a `quarkus-run.jar` that is none."""
    folder = tmp_path / "stick" / "deep"
    folder.mkdir(parents=True)
    path = folder / apicurio.ARCHIVE.file_name
    with tarfile.open(path, "w:gz") as files:
        files.addfile(tarfile.TarInfo("quarkus-run.jar"), io.BytesIO())
    data = path.read_bytes()
    pinned = dataclasses.replace(apicurio.ARCHIVE, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(apicurio, "ARCHIVE", pinned)
    return dataclasses.replace(settings, cache=tmp_path / "cache", offline=tmp_path / "stick", home=tmp_path / "home")


def test_its_name_is_mavens():
    assert apicurio.ARCHIVE.file_name == "apicurio-registry-app-3.3.3-all.tar.gz"


def test_it_is_fetched_once(small):
    """From a folder here; afterwards it is in the cache."""
    assert not apicurio.fetched(small)
    path = apicurio.archive(small)
    assert apicurio.fetched(small)
    assert apicurio.archive(dataclasses.replace(small, offline=None, maven="http://127.0.0.1:9")) == path


@pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda data: data[:-10] + b"0123456789", lambda _: b""])
def test_a_damaged_one_is_fetched_again_or_refused(small, damage):
    """Half of it, altered, or empty: it never runs."""
    path = apicurio.archive(small)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        LabError, match=r"Could not fetch apicurio-registry-app-3\.3\.3-all\.tar\.gz, Apicurio Registry"
    ):
        apicurio.archive(dataclasses.replace(small, offline=None, maven="http://127.0.0.1:9"))
    assert apicurio.archive(small) == path
    assert apicurio.fetched(small)


def test_an_altered_one_is_not_used(small):
    """Nothing stays in the cache under its name."""
    (there,) = small.offline.rglob("*.tar.gz")
    there.write_bytes(b"x" * there.stat().st_size)
    with pytest.raises(LabError, match="is not the file that the lab expects"):
        apicurio.archive(small)
    assert not list(small.cache.rglob("*.tar.gz"))


def test_a_folder_without_it_is_named(small):
    shutil.rmtree(small.offline / "deep")
    with pytest.raises(LabError, match="Apicurio Registry, is missing") as caught:
        apicurio.archive(small)
    assert str(small.offline) in caught.value.seen


def test_a_full_disk_is_said_before_anything_is_fetched(small, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(apicurio.shutil, "disk_usage", lambda _: usage(1, 1, 0))
    with pytest.raises(LabError, match="no room") as caught:
        apicurio.archive(small)
    assert "LAB_CACHE" in caught.value.next_step
    assert not small.cache.exists()


def test_one_that_does_not_start_says_why_and_leaves_nothing(small):
    """Java's words, and no process and no folder afterwards."""
    with pytest.raises(LabError, match="Apicurio Registry did not start") as caught, apicurio.running(small):
        pass
    assert "quarkus-run.jar" in caught.value.seen
    assert processes.running(small) == []
    assert not list((small.home / "private").iterdir())
