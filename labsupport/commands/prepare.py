"""`python3 lab.py prepare`: fetch and make all that the first lesson would wait for; nothing runs afterwards."""

import time
from dataclasses import replace

import click

from labsupport.broker import java_runtime, processes, startup_cache, temporary_homes
from labsupport.broker.process import Process
from labsupport.commands.terminal import console, example
from labsupport.errors import LabError
from labsupport.observability import jmx_agent
from labsupport.settings import Settings
from labsupport.waiting import until

PATIENCE = 900  # seconds for Java to write the cache, 6 on an idle machine: whoever makes an image wants it made


@click.command(**example("python3 lab.py prepare", "LAB_CACHE=/opt/kafka-lab python3 lab.py prepare"))
def prepare() -> None:
    """Fetch Kafka and make its start-up cache, and leave nothing running: for images, prebuilds and shared servers.

    As every command, it first installs the packages. A second run only checks.
    """
    settings = Settings.from_environment()
    begun = time.monotonic()
    made = make(settings)
    console.print(f"Ready in {settings.cache}: {made}.", soft_wrap=True)
    console.print(f"That took {time.monotonic() - begun:.0f} s; nothing is left running.")


def make(settings: Settings) -> str:
    """Fetch and make what is missing, and say what is there. Raises LabError; what was made until then stays."""
    runtime = java_runtime.prepare(settings)
    agent = jmx_agent.jar(settings)
    runtime.startup_cache.with_suffix(".failed").unlink(missing_ok=True)  # it delays only what nobody asked for
    if startup_cache.needed(runtime):
        console.print("Starting Kafka once, to make its start-up cache ...")
        # In the lab's own home the broker's user would be this one, who in an image is not the learner.
        with temporary_homes.temporary("lab-prepare-") as home:
            try:
                startup_cache.train(replace(settings, home=home, kafka="embedded"), PATIENCE)
            finally:
                watchdog = Process.recorded(processes.watchdog_record(home))
        until(lambda: watchdog is None or not watchdog.alive, 60, "the watchdog of the training run to leave")
    if not java_runtime.intact(runtime.startup_cache):
        raise LabError("Java made no start-up cache.", str(runtime.startup_cache), "python3 lab.py doctor")
    files = (*runtime.class_path, agent, runtime.template, runtime.startup_cache)
    size = sum(path.stat().st_size for path in files) / 1e6
    return f"{len(runtime.class_path) + 1} jars, the format template and the start-up cache, {size:,.0f} MB"
