"""`python3 lab.py book`: the lessons, glossary, claims and README as a web site that can be searched.

Sphinx and its theme live in an environment of their own in the user's cache, which is made when it is needed first.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

import click

from labsupport.commands import book_pages
from labsupport.commands.terminal import console, example, require_checkout
from labsupport.console import counted
from labsupport.course.copies import NOTEBOOKS, cleared
from labsupport.errors import LabError
from labsupport.files import digest, storing
from labsupport.settings import CHECKOUT, Settings
from labsupport.setup import installer, sources
from labsupport.waiting import only_one

BOOK = CHECKOUT / "book"
REQUIREMENTS = BOOK / "requirements.txt"
BRANCH = "gh-pages"  # where the workflow publishes the site; Colab opens its notebooks from there


@click.command(**example("python3 lab.py book", "python3 lab.py book --to site", "python3 lab.py book --links"))
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Into this folder.")
@click.option("--links", is_flag=True, help="Also ask every address outside the book whether it is there.")
def book(folder: Path | None, links: bool) -> None:
    """Build the book: a web site of all lessons, with results folded behind each prediction.

    The first time, it installs Sphinx beside the lab (180 MB). A warning, such as about a dead link, is an error.
    """
    require_checkout("build the book")
    settings = Settings.from_environment()
    folder = (folder or settings.home / "book").absolute()
    begun = time.monotonic()
    pages = build(settings, folder, links=links)
    console.print(f"{counted(pages, 'page')} in {time.monotonic() - begun:.0f} s: {(folder / 'index.html').as_uri()}")


def build(settings: Settings, folder: Path, *, links: bool = False) -> int:
    """Build the book in `folder`, replacing an earlier one, and return the number of its pages.

    Raises LabError for Sphinx's warnings, and for a folder with other things in it.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / ".buildinfo").exists():
        seen = "it contains other things, and no book"
        raise LabError(f"Built no book in {folder}.", seen, "give a folder that is new, or empty, or an earlier book")
    python = environment(settings)
    with tempfile.TemporaryDirectory(prefix="lab-book-") as scratch, storing(folder.parent, "--to"):
        source, made = Path(scratch, "source"), Path(scratch, "site")
        lay_out(source)
        _sphinx(python, "html", source, made)
        if links:
            _sphinx(python, "linkcheck", source, Path(scratch, "links"))
        for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
            _write(made / "colab" / notebook.name, book_pages.for_colab(cleared(_read(notebook)), repository()))
        (made / ".nojekyll").touch()  # or the host leaves out folders that begin with an underscore
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made, folder)
    return len([*folder.glob("*.html"), *folder.glob("notebooks/*.html")])


def repository() -> str:
    """The address where the lab is published, from pyproject.toml."""
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def lay_out(source: Path) -> None:
    """Write the pages that Sphinx reads into the folder `source`."""
    address = repository()
    lessons = sorted(NOTEBOOKS.glob("*.ipynb"))
    for notebook in lessons:
        _write(source / "notebooks" / notebook.name, book_pages.lesson(_read(notebook), address))
    for document in sorted(NOTEBOOKS.glob("*.md")):
        text = book_pages.linked(document.read_text(encoding="utf-8"), "notebooks/", address)
        (source / "notebooks" / document.name).write_text(text, encoding="utf-8")
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (source / "index.md").write_text(
        book_pages.front(readme, [each.name for each in lessons], address), encoding="utf-8"
    )
    shutil.copytree(CHECKOUT / "measured", source / "measured", ignore=shutil.ignore_patterns("*.txt", "*.json*"))


def _read(notebook: Path) -> dict:
    return json.loads(notebook.read_text(encoding="utf-8"))


def _write(path: Path, notebook: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")


def environment(settings: Settings) -> Path:
    """Return the Python that has Sphinx; make its environment if it is missing. Raises LabError if that fails."""
    name = f"book-{digest(REQUIREMENTS.read_text(encoding='utf-8'), sys.version, sys.prefix)}"
    folder = settings.cache / name
    if not folder.exists():
        with storing(settings.cache, "LAB_CACHE"), only_one(folder.with_suffix(".lock"), "installing Sphinx"):
            if not folder.exists():
                console.print("Installing Sphinx beside the lab (once, 180 MB) ...")
                _install(folder, settings)
    return installer.python_of(folder)


def _install(folder: Path, settings: Settings) -> None:
    scratch = folder.with_suffix(".new")
    shutil.rmtree(scratch, ignore_errors=True)
    venv.create(scratch, symlinks=os.name != "nt")
    python = str(installer.python_of(scratch))
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, "-r", str(REQUIREMENTS)]
    if settings.offline:
        command += ["--no-index", "--find-links", str(settings.offline)]
    user = sources.of([sys.executable, "-m", "pip"])
    run = subprocess.run(command, env=user.uv, capture_output=True, text=True)
    if run.returncode:
        shutil.rmtree(scratch, ignore_errors=True)
        raise LabError("Could not install Sphinx, which builds the book.", run.stderr[-1500:], "check the network")
    scratch.rename(folder)


def _sphinx(python: Path, builder: str, source: Path, target: Path) -> None:
    """Run Sphinx. Raises LabError with its warnings."""
    command = [str(python), "-m", "sphinx", "--builder", builder, "--conf-dir", str(BOOK), "--fail-on-warning"]
    command += [
        "--quiet",
        "--jobs",
        "auto",
        "--doctree-dir",
        str(target.with_suffix(".doctrees")),
        str(source),
        str(target),
    ]
    told = {"LAB_BOOK_REPOSITORY": repository(), "LAB_BOOK_BRANCH": BRANCH}
    with console.status("Building the book …"):
        run = subprocess.run(command, env=os.environ | told, capture_output=True, text=True)
    if run.returncode:
        raise LabError("The book was not built.", (run.stderr or run.stdout)[-3000:], "mend what the lines name")
