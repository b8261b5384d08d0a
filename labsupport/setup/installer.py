"""Install the pinned packages into an environment: with uv, which is six times as fast, or with pip if uv fails."""

import os
import subprocess
import sys
from pathlib import Path

from labsupport.setup import sources

WINDOWS = os.name == "nt"


class FailedError(Exception):
    """Both installers failed; the text has the cause, the index, and the user's settings in force."""


def python_of(folder: Path) -> Path:
    """Return the Python of the environment in `folder`."""
    return folder / "Scripts" / "python.exe" if WINDOWS else folder / "bin" / "python"


def install(folder: Path, requirements: Path, offline: str) -> None:
    """Install `requirements` into the environment `folder`; with `offline`, only from that folder.

    Raises FailedError.
    """
    python = str(python_of(folder))
    pip = [python, "-I", "-m", "pip"]
    user = sources.of(pip)
    options = ["--no-index"] if offline or user.no_index else []
    for each in (Path(offline), Path(offline, "wheels")) if offline else ():
        if each.is_dir():
            options += ["--find-links", str(each.absolute())]
    pip += ["install", "--quiet", "--disable-pip-version-check", "--retries", "1", *options]
    # The pins are complete, but for what the lab leaves out on purpose (see pyproject.toml): nothing is resolved.
    wanted = ["--no-deps", "-r", str(requirements)]
    if not _with_uv(folder, pip, requirements, user, [*options, *wanted]):
        run = _run([*pip, *wanted], requirements.parent, user.pip, stderr=subprocess.PIPE)
        if run.returncode:
            raise FailedError(_report(run.stderr.decode("utf-8", "replace"), user, offline))
    if missing := _missing(folder, requirements):
        raise FailedError(_report(f"the installer reported success, but: {missing}", user, offline))


def _with_uv(folder: Path, pip: list[str], requirements: Path, user: sources.Sources, words: list[str]) -> bool:
    """Fetch uv and install with it; return whether that worked."""
    from labsupport.setup import installed  # here, because every start of lab.py imports this module

    pin = installed.pins(requirements).get("uv")
    if not pin or _run([*pip, f"uv=={pin}"], requirements.parent, user.pip, stderr=subprocess.DEVNULL).returncode:
        return False
    python = str(python_of(folder))
    uv = [python, "-I", "-m", "uv", "pip", "install", "--python", python, *words]
    # Packages in a cache may have been altered: then fetch them again.
    for more in ([], ["--no-cache", "--reinstall"]):
        if _run([*uv, *more], requirements.parent, user.uv).returncode:
            break
        if not _missing(folder, requirements):
            return True
    print("  uv could not; pip tries it (this takes a few minutes) ...", file=sys.stderr, flush=True)
    return False


def _run(command: list[str], cwd: Path, env: dict[str, str], stderr: int | None = None) -> subprocess.CompletedProcess:
    # The installer inherits the lock on the set-up: if it outlives us, it keeps the lock.
    return subprocess.run(command, cwd=cwd, env=env, close_fds=WINDOWS, stderr=stderr)


def point_to(checkout: Path, folder: Path) -> None:
    """Write anew where the environment in `folder` finds the lab, as a relative path.

    Python decodes the path of `-e .` by the locale: an umlaut in it stops Python under a C locale, and the path is lost
    on Windows. Relative to the file it is plain ASCII. uv links its cache's files into the environment, and so into
    others: the file is replaced, not written into.
    """
    for path in folder.rglob("*labsupport*.pth"):
        path.unlink()
        path.write_text(os.path.relpath(checkout, path.parent) + "\n", encoding="utf-8")


def _missing(folder: Path, requirements: Path) -> str:
    """Return which pins the environment does not fulfil."""
    point_to(requirements.parent, folder)
    code = "from labsupport.setup import installed; print('; '.join(installed.wrong()[:3]))"
    run = subprocess.run([str(python_of(folder)), "-I", "-c", code], capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else run.stderr.strip().split("\n")[-1]


def _report(seen: str, user: sources.Sources, offline: str) -> str:
    """Describe the cause, the index, and the user's settings in force: their names, not their values."""
    lines = [line for line in seen.strip().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-3:]
    text = "its packages could not be installed."
    text += "".join(f"\n  seen: {line.strip()}" for line in errors[-3:])
    text += f"\n  asked: {offline or user.index or 'the default index'}"
    if user.named:
        text += f"\n  your settings in force: {', '.join(user.named)}"
    return text
