"""Where packages come from: the user's settings of pip and uv, each applied to the other, too.

Settings of the source (index, proxy, certificate, cache) are kept. All others (target, user, prefix, hashes,
constraints, …) would put the lab's packages elsewhere or refuse them, so they are dropped.
"""

import configparser
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PIP = {
    "index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "client-cert", "proxy",
    "keyring-provider", "cache-dir", "no-cache-dir", "timeout", "default-timeout", "retries",
}  # fmt: skip
UV = {
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_FIND_LINKS",
    "UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_KEYRING_PROVIDER", "UV_CACHE_DIR", "UV_NO_CACHE",
    "UV_OFFLINE", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES",
}  # fmt: skip
CREDENTIALS = re.compile(r"UV_INDEX_\w+_(USERNAME|PASSWORD)")
NETWORK = re.compile(
    r"(https?|all|no)_proxy|ssl_cert_\w+|ssl_client_cert|requests_ca_bundle|curl_ca_bundle|netrc", re.I
)
# Variables that point an installer to another environment.
ELSEWHERE = re.compile(
    r"(PIP|UV|PYTHON(?!UTF8|IOENCODING|UNBUFFERED|DONTWRITE)|CONDA)_?.*|VIRTUAL_ENV|__PYVENV_LAUNCHER__"
)
# uv's name of a setting -> pip's; if the user has set only one of them, the other gets it too.
SAME = {
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "UV_INDEX": "PIP_EXTRA_INDEX_URL",
    "UV_FIND_LINKS": "PIP_FIND_LINKS",
    "UV_INSECURE_HOST": "PIP_TRUSTED_HOST",
    "UV_KEYRING_PROVIDER": "PIP_KEYRING_PROVIDER",
    "SSL_CERT_FILE": "PIP_CERT",
    "SSL_CLIENT_CERT": "PIP_CLIENT_CERT",
    "HTTPS_PROXY": "PIP_PROXY",
    "HTTP_PROXY": "PIP_PROXY",
    "UV_HTTP_TIMEOUT": "PIP_TIMEOUT",
}


@dataclass(frozen=True)
class Sources:
    """The environments for pip and uv, the index they ask, and the user's settings in force (names only)."""

    pip: dict[str, str]
    uv: dict[str, str]
    index: str
    named: tuple[str, ...]
    no_index: bool


def of(pip: list[str], environ: Mapping[str, str] = os.environ) -> Sources:
    """Ask `pip` (a command) for its files, read uv's, and apply both to `environ`."""
    base = {name: value for name, value in environ.items() if not ELSEWHERE.fullmatch(name)}
    set_for_pip, pip_files = pip_settings(pip, base, environ)
    set_for_uv, uv_files = uv_settings(environ)
    for_pip, for_uv = dict(set_for_pip), dict(set_for_uv)
    for uv_name, pip_name in SAME.items():
        said_to_pip, said_to_uv = set_for_pip.get(pip_name), set_for_uv.get(uv_name)
        if said_to_pip and not said_to_uv:
            for_uv[uv_name] = (",".join if uv_name == "UV_FIND_LINKS" else " ".join)(said_to_pip.split())
        elif said_to_uv and not said_to_pip and uv_name.startswith("UV_"):
            words = said_to_uv.split("," if uv_name == "UV_FIND_LINKS" else None)
            for_pip[pip_name] = " ".join(re.sub(r"^[\w.-]+=", "", word) for word in words)
    if not writable(for_uv.get("UV_CACHE_DIR") or base.get("XDG_CACHE_HOME") or _home(".cache")):
        for_uv = {name: value for name, value in for_uv.items() if name != "UV_CACHE_DIR"} | {"UV_NO_CACHE": "1"}
    if "UV_INDEX" in for_uv:  # as pip does: any index that has the pinned version
        for_uv.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return Sources(
        base | for_pip | {"PIP_CONFIG_FILE": os.devnull},
        base | for_uv | {"UV_NO_CONFIG": "1"},
        for_pip.get("PIP_INDEX_URL", ""),
        (*sorted(name for name in environ if environ[name] and _speaks(name)), *pip_files, *uv_files),
        set_for_pip.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on"),
    )


def _home(name: str) -> str:
    return os.path.expanduser(os.path.join("~", name))  # noqa: PTH111, PTH118 - Path raises where there is no home


def writable(folder: str | Path) -> bool:
    """Return whether a cache can be there: the folder, or the nearest one above it, is writable."""
    there = next((each for each in (Path(folder), *Path(folder).parents) if each.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK)


def _speaks(name: str) -> bool:
    return bool(name.startswith(("PIP_", "UV_")) or NETWORK.fullmatch(name))


def pip_settings(pip: list[str], base: dict[str, str], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return pip's settings of the source as variables, and the files they come from."""
    env = base | {name: environ[name] for name in ("PIP_CONFIG_FILE",) if name in environ}
    # `pip config list` would be shorter, but takes `user = true` in a file for its own option of that name.
    run = subprocess.run([*pip, "config", "debug"], env=env, capture_output=True, text=True)
    places = re.findall(r"^(\w+):$|^  (\S.*), exists: True$", run.stdout, re.M)
    kind, files = "", []
    for title, file in places:
        kind = title or kind
        if file and file != os.devnull:
            files.append((("global", "user", "site", "env").index(kind), file))
    said: dict[str, str] = {}
    for section in ("global", "install"):  # a setting for one command overrides one for all
        for _, file in sorted(files):
            said |= _of_section(file, section)
    for name in PIP:
        if value := environ.get(_variable(name), ""):
            said[name] = value
    named = [file for _, file in sorted(files)]
    return {_variable(name): " ".join(value.split()) for name, value in said.items() if value.strip()}, named


def _of_section(file: str, section: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, ValueError, OSError):
        return {}
    pairs = parser.items(section) if parser.has_section(section) else []
    told = {name.lower().replace("_", "-").removeprefix("--"): value for name, value in pairs}
    return {name: value for name, value in told.items() if name in PIP}


def _variable(name: str) -> str:
    return "PIP_" + name.upper().replace("-", "_")


def uv_settings(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return uv's settings of the source as variables, and the files they come from."""
    said: dict[str, str] = {}
    files = [path for path in uv_files(environ) if path.is_file()]
    for path in files:
        try:
            told = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        for table in (told.get("pip", {}), told):
            said |= _of_table(table)
    for name, value in environ.items():
        if value and (name in UV or CREDENTIALS.fullmatch(name)):
            said[name] = value
    for name, old in (("UV_DEFAULT_INDEX", "UV_INDEX_URL"), ("UV_INDEX", "UV_EXTRA_INDEX_URL")):
        if old in said:
            said.setdefault(name, said.pop(old))
    network = {name: value for name, value in environ.items() if value and name in SAME}
    return said | network, [str(path) for path in files]


def uv_files(environ: Mapping[str, str]) -> list[Path]:
    """Return where uv looks for settings of the system and of the user; later files win."""
    if environ.get("UV_CONFIG_FILE"):
        return [Path(environ["UV_CONFIG_FILE"])]
    if environ.get("UV_NO_CONFIG"):
        return []
    if sys.platform == "win32":
        roots = [environ.get("PROGRAMDATA", ""), environ.get("APPDATA", "")]
    else:
        roots = ["/etc", environ.get("XDG_CONFIG_HOME") or _home(".config")]
    return [Path(root, "uv", "uv.toml") for root in roots if root]


def _of_table(table: Mapping) -> dict[str, str]:
    """Return the settings of the source in one table of uv.toml."""
    said = {}
    indexes = [each for each in table.get("index", []) if isinstance(each, dict) and not each.get("explicit")]
    defaults = [each["url"] for each in indexes if each.get("default")] or [table.get("index-url", "")]
    others = [each["url"] for each in indexes if not each.get("default")] + table.get("extra-index-url", [])
    said["UV_DEFAULT_INDEX"], said["UV_INDEX"] = defaults[0], " ".join(others)
    said["UV_FIND_LINKS"] = ",".join(table.get("find-links", []))
    said["UV_INSECURE_HOST"] = " ".join(table.get("allow-insecure-host", []))
    for name in ("cache-dir", "native-tls", "system-certs", "keyring-provider", "index-strategy"):
        if name in table:
            value = table[name]
            said["UV_" + name.upper().replace("-", "_")] = str(value).lower() if isinstance(value, bool) else value
    return {name: value for name, value in said.items() if value}
