"""`python3 lab.py registry`: another maker's schema registry, in the foreground."""

import click

from labsupport.commands.terminal import console, example
from labsupport.errors import LabError
from labsupport.settings import Settings


@click.command(**example("python3 lab.py registry --apicurio", "LAB_REGISTRY=http://… python3 lab.py"))
@click.option("--apicurio", is_flag=True, required=True, help="Apicurio Registry, which is fetched once (159 MB).")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port (default: 8081, or a free one).")
def registry(apicurio: bool, port: int | None) -> None:  # noqa: ARG001 - so far the only one
    """Run another maker's schema registry until Ctrl-C, for lesson 13 to use instead of the lab's own.

    It keeps everything in memory, on this machine only. The lab's own: python3 lab.py up --registry
    """
    from labsupport.registry import apicurio as other
    from labsupport.registry.registry import standard_port

    settings = Settings.from_environment()
    try:
        with other.running(settings, port or standard_port()) as (running, process):
            console.print(f"Apicurio Registry {other.VERSION} is up. In another terminal:\n")
            console.print(f"  [bold]LAB_REGISTRY={running.url} python3 lab.py[/]\n", soft_wrap=True)
            console.print("Ctrl-C here ends it, and everything that was registered is gone.")
            process.wait()
            raise LabError("Apicurio Registry has ended by itself.", process.tail(6), "start it again")
    except KeyboardInterrupt:
        console.print("\nEnded.")
