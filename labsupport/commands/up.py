"""`python3 lab.py up`: Kafka in the background."""

import click

from labsupport.broker import background, processes
from labsupport.broker.metadata import reach
from labsupport.commands.terminal import console, example, take_along
from labsupport.settings import Settings


@click.command(**example("python3 lab.py up", "python3 lab.py up --registry", "python3 lab.py status"))
@click.option("--registry", "with_registry", is_flag=True, help="A schema registry too (Confluent's interface).")
def up(with_registry: bool) -> None:
    """Start the lab's Kafka in the background. It stays until `down`."""
    settings = Settings.from_environment()
    take_along(settings)
    if settings.embedded:
        cluster, _ = background.ensure(settings, keep=True)
        until = "until you type: python3 lab.py down"
        if processes.hub_server():
            until = "until your server stops, or you type: python3 lab.py down"
        console.print(f"Kafka is up at [bold]{cluster.bootstrap}[/] {until}")
    else:
        address = reach(settings.connection).bootstrap
        console.print(f"Kafka answers at [bold]{address}[/] ({settings.kafka_source}); the lab starts none of its own.")
    if with_registry:
        from labsupport.registry import registry

        own = registry.ensure(settings, cluster.bootstrap if settings.embedded else address)
        console.print(f"The schema registry is up at [bold]{own.url}[/]; its topic is {own.topic}")
