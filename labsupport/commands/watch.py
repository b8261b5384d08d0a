"""`python3 lab.py watch`: the groups of a cluster, live in a terminal, and what is wrong with them in words."""

import contextlib
import threading
import time
from collections.abc import Iterator

import click
from kafka.errors import KafkaError
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from labsupport.broker import background
from labsupport.broker.clients import Clients
from labsupport.commands.terminal import console, example
from labsupport.connection import Connection, parse_addresses
from labsupport.errors import LabError
from labsupport.observability import group_lag_metrics, metrics_page
from labsupport.observability.alerts import Limits
from labsupport.observability.group_lag import Observer, Snapshot
from labsupport.observability.group_watch import GroupWatch, View, in_words
from labsupport.settings import Settings

MANY = 30  # groups on the screen
READS = Text("lag: offsets, markers included; age: of the oldest record that a service gets (read_committed)", "dim")


class Eyes:
    """Takes snapshots of the groups whose names begin with `prefix`; finds Kafka again when it was away."""

    def __init__(self, settings: Settings, at: str, prefix: str):
        self.settings, self.at, self.prefix = settings, at, prefix
        self._observer: Observer | None = None
        self._lock = threading.Lock()  # the screen and the page for Prometheus both look

    def snapshot(self) -> Snapshot:
        """Look at the groups now. Raises LabError or KafkaError if Kafka does not answer."""
        with self._lock:
            try:
                if self._observer is None:
                    self._observer = Observer(Clients(self._connection()), lambda name: name.startswith(self.prefix))
                return self._observer.snapshot()
            except (LabError, KafkaError):
                self.close()
                raise

    def close(self) -> None:
        """Close the clients; the next snapshot makes others."""
        if self._observer:
            self._observer.close()
            self._observer = None

    def _connection(self) -> Connection:
        """The lab's own broker may be started again at another port."""
        if self.at or not self.settings.embedded:
            return self.settings.connection_to(self.at or self.settings.kafka)
        if address := background.address(self.settings):
            return self.settings.connection_to(address)
        raise LabError("There is nothing to watch.", "the lab's Kafka is not running", "python3 lab.py up")


@click.command(
    **example(
        "python3 lab.py watch", "python3 lab.py watch 09- --age 10", "python3 lab.py watch --at kafka.example:9092"
    )
)
@click.argument("prefix", default="")
@click.option("--at", default="", metavar="HOST:PORT", help="Another Kafka than the lab's or LAB_KAFKA's.")
@click.option("--once", is_flag=True, help="Print it once and end, as in a pipe.")
@click.option(
    "--every", type=click.FloatRange(min=0.2), default=1.0, show_default=True, help="Seconds between two looks."
)
@click.option(
    "--age", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds that a record may wait."
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Also serve the numbers for Prometheus, until Ctrl-C."
)
def watch(prefix: str, at: str, once: bool, every: float, age: float, metrics_port: int | None) -> None:
    """Watch the consumer groups whose names begin with PREFIX: state, members, lag, age, and what is wrong, in words.

    It reads only, and starts no Kafka. Ctrl-C ends it.
    """
    if at:
        parse_addresses(at, "--at")
    eyes = Eyes(Settings.from_environment(), at, prefix)
    group_watch = GroupWatch(Limits(age, max(5.0, age / 2)))
    with contextlib.closing(eyes), _page(eyes, metrics_port):
        if once or (not console.is_terminal and metrics_port is None):
            console.print(screen(group_watch.see(eyes.snapshot())))
            return
        if not console.is_terminal:
            while True:
                time.sleep(60)
        _live(eyes, group_watch, every)


def _live(eyes: Eyes, group_watch: GroupWatch, every: float) -> None:
    view, problem = None, ""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            try:
                view, problem = group_watch.see(eyes.snapshot()), ""
            except LabError as error:
                problem = error.seen or error.tried
            except KafkaError as error:
                problem = str(error)
            live.update(screen(view, problem), refresh=True)
            time.sleep(every)


@contextlib.contextmanager
def _page(eyes: Eyes, port: int | None) -> Iterator[None]:
    if port is None:
        yield
        return
    with metrics_page.serve(group_lag_metrics.registry(eyes.snapshot), port) as page:
        console.print(f"Metrics: {page.url}")
        yield


def screen(view: View | None, problem: str = "") -> Group:
    """What the terminal shows: a table of groups, what is wrong, and the dead letters."""
    parts: list = []
    if problem:
        seen = f" What follows is of {time.strftime('%H:%M:%S', time.localtime(view.time))}." if view else ""
        parts.append(Text(f"Kafka does not answer: {problem.splitlines()[0]}.{seen}", style="bold red"))
    if view:
        parts += [_groups(view), READS, *_wrong(view), *_leaderless(view), *_dead_letters(view)]
    return Group(*parts)


def _groups(view: View) -> Table | Text:
    if not view.rows:
        return Text("There are no groups.")
    table = Table(box=None, header_style="dim")
    table.add_column("group", overflow="fold")
    table.add_column("state")
    for name in ("members", "lag", "age", "rebalance"):
        table.add_column(name, justify="right")
    for row in view.rows[:MANY]:
        rebalanced = "–" if row.rebalanced is None else f"{in_words(row.rebalanced)} ago"
        age = "?" if row.age is None else in_words(row.age)
        style = "bold red" if row.wrong else ""
        table.add_row(escape(row.group), row.state, str(row.members), f"{row.lag:,}", age, rebalanced, style=style)
    if len(view.rows) > MANY:
        table.add_row(f"… and {len(view.rows) - MANY} more", style="dim")
    return table


def _wrong(view: View) -> Iterator[Text]:
    for row in view.rows[:MANY]:
        for words in row.wrong:
            yield Text(f"{row.group}: {words}", style="red")


def _leaderless(view: View) -> Iterator[Text]:
    if view.leaderless:
        names = ", ".join(f"{each.topic}/{each.partition}" for each in view.leaderless[:MANY])
        yield Text(f"No leader, so nothing is known of the groups in: {names}", style="bold red")


def _dead_letters(view: View) -> Iterator[Text]:
    for each in view.dead_letters:
        new = f", {each.new:,} of them while you watch" if each.new else ""
        yield Text(f"Dead letters in {each.topic}: {each.held:,}{new}", style="red" if each.new else "dim")
