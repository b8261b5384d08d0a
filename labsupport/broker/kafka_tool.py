"""kafka-python's tools for a terminal, on a secured Kafka: `python -m labsupport.broker.kafka_tool consumer -t orders`.

By themselves they take a password as a word of the command line, where every user of the machine can read it. This
program takes it from a file, that of LAB_KAFKA_CONFIG or of the lab's own broker; all other words are the tool's own.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from labsupport.connection import Connection
from labsupport.errors import LabError
from labsupport.settings import Settings

TOOLS = ("admin", "consumer", "producer")


def command(connection: Connection, tool: str) -> str:
    """Return how one of the tools is typed for this Kafka; further words go behind it."""
    python = subprocess.list2cmdline([sys.executable]) if sys.platform == "win32" else f'"{sys.executable}"'
    if connection.secured:
        return f"{python} -m labsupport.broker.kafka_tool {tool} -b {connection.bootstrap}"
    return f"{python} -m kafka.{tool} -b {connection.bootstrap}"


def main(words: Sequence[str]) -> int:
    """Run the tool; returns its exit code."""
    name, *rest = words or [""]
    if name not in TOOLS:
        print(f"say which tool: {', '.join(TOOLS)}", file=sys.stderr)
        return 2
    settings = Settings.from_environment()
    addresses = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    addresses.add_argument("-b", "--bootstrap-servers", default="" if settings.embedded else settings.kafka)
    given, rest = addresses.parse_known_args(rest)
    if not given.bootstrap_servers:
        raise LabError("There is no address.", "-b host:port is missing", "python3 lab.py status  (shows a command)")
    connection = settings.connection_to(given.bootstrap_servers).kafka_python()
    tool = import_module(f"kafka.cli.{name}")
    extra = import_module("kafka.cli.common").build_kwargs

    def connects(config: Any) -> dict[str, Any]:
        return {**extra(config.extra_config), **connection}

    vars(tool)["build_connect_kwargs"] = connects
    return tool.run_cli(["-b", given.bootstrap_servers, *rest], prog=f"kafka_tool {name}") or 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(str(error))
