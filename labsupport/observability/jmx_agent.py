"""A broker's own numbers: Prometheus' JMX exporter, attached to a broker while it runs. Lesson 14.

The exporter is a Java agent. Given at the start (`-javaagent`) it would switch off the broker's start-up cache; so
`jcmd` loads it into the running broker, in half a second and without a restart. It serves a page of metrics on the
loopback address; `jmx.yml` chooses beans and names. The jar is pinned like Kafka's, and fetched when it is needed.

This agent ends its broker when it cannot start: when its port is taken, or when it is loaded a second time. So the
system chooses the port, and a second `attach` returns the page that is there.
"""

import contextlib
import http.client
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import psutil
from prometheus_client.parser import text_string_to_metric_families

from labsupport.broker import jars
from labsupport.broker.cluster import Cluster
from labsupport.broker.embedded import EmbeddedBroker
from labsupport.broker.java_runtime import ENVIRONMENT, JAVA
from labsupport.broker.process import Process, overlaid
from labsupport.errors import LabError
from labsupport.ports import HOST
from labsupport.settings import Settings
from labsupport.waiting import only_one, until

if TYPE_CHECKING:
    import pandas

LOCK, CONFIGURATION = Path(__file__).with_name("jmx_agent.lock"), Path(__file__).with_name("jmx.yml")
JAR, MARK = "jmx_agent.jar", "jmx_agent.json"  # in the broker's folder
JCMD = (str(JAVA), "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-m", "jdk.jcmd/sun.tools.jcmd.JCmd")
LIMIT = 3.0  # seconds without an answer after which a scrape gives up

SCRAPE, ANSWERED, REFUSED, TIMED_OUT = "scrape", "answered", "refused", "timed out"
FENCED = "kafka_controller_kafkacontroller_fencedbrokercount"
ACTIVE_CONTROLLER = "kafka_controller_kafkacontroller_activecontrollercount"
UNDER_REPLICATED = "kafka_server_replicamanager_underreplicatedpartitions"
ISR_SHRINKS = "kafka_server_replicamanager_isrshrinks_total"
BROKER_DOWN = (FENCED, UNDER_REPLICATED, ACTIVE_CONTROLLER, ISR_SHRINKS)


# Attaching


def jar(settings: Settings) -> Path:
    """Return the agent's verified jar in the user's cache; fetch it if it is missing. Raises as `jars.ensure` does."""
    (pinned,) = jars.pinned(LOCK)
    folder = settings.cache / f"jmx-exporter-{pinned.version}"
    (path,) = jars.provide("the JMX exporter", [pinned], folder, settings)
    return path


def attach(broker: EmbeddedBroker) -> str:
    """Attach the agent to a running broker, and return the URL of its page; of the same page if it is attached.

    Raises LabError if the broker does not run, or the agent cannot be loaded.
    """
    with only_one(broker.folder / "jmx_agent.lock", "attaching the JMX exporter"):
        process = broker.process
        if process is None or process.paused:
            raise LabError(
                f"The JMX exporter cannot be attached to broker {broker.number}.",
                f"the broker is {broker.state}",
                f"start it first: kafka.broker({broker.number}).start()",
            )
        mark = broker.folder / MARK
        if Process.recorded(mark) != process:
            _load(broker, process, mark)
        page = f"the JMX exporter's page in broker {broker.number}"
        until(lambda: not process.alive or _port(broker, process), 60, page, next_step=_again(broker))
        if not process.alive:
            raise _not_attached(broker, f"the broker has ended:\n{broker.log_tail()}")
        return f"http://{HOST}:{_port(broker, process)}/metrics"


def attach_all(kafka: Cluster) -> dict[int, str]:
    """Attach the agent to every running broker of the lab's own cluster; returns the URLs by the broker's number.

    Raises LabError if the brokers are not the lab's.
    """
    if kafka.embedded is None:
        raise LabError(
            "The JMX exporter is attached to the lab's own brokers only.",
            f"the lab did not start the broker at {kafka.bootstrap}",
            "its operator can start it with -javaagent; here, use brokers of your own: with lab.private(3) as kafka:",
        )
    running = [broker for broker in kafka.embedded.brokers if broker.state == "running"]
    with ThreadPoolExecutor() as pool:
        return dict(zip((broker.number for broker in running), pool.map(attach, running), strict=True))


def _load(broker: EmbeddedBroker, process: Process, mark: Path) -> None:
    agent = jar(broker.cluster.runtime.settings)
    # The broker's working directory is its folder: relative names keep blanks and umlauts out of the agent's arguments.
    shutil.copyfile(agent, broker.folder / JAR)
    shutil.copyfile(CONFIGURATION, broker.folder / CONFIGURATION.name)
    process.record(mark)  # before it is loaded: it must not be loaded again, even if this is interrupted
    command = [*JCMD, str(process.pid), "JVMTI.agent_load", JAR, f'"{HOST}:0:{CONFIGURATION.name}"']
    output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=overlaid(ENVIRONMENT), **output) as jcmd:
        try:
            until(lambda: jcmd.poll() is not None, 60, f"broker {broker.number} to let the JMX exporter in")
        except BaseException:
            jcmd.kill()
            raise
        finally:  # a killed Java would leave the socket that jcmd used
            for folder in {Path("/tmp"), Path(tempfile.gettempdir())}:
                (folder / f".java_pid{process.pid}").unlink(missing_ok=True)
        said, _ = jcmd.communicate()
    if jcmd.returncode and process.alive:
        mark.unlink()
        raise _not_attached(broker, said)


def _not_attached(broker: EmbeddedBroker, seen: str) -> LabError:
    tried = f"The JMX exporter could not be attached to broker {broker.number}."
    return LabError(tried, seen, _again(broker))


def _again(broker: EmbeddedBroker) -> str:
    which = f"kafka.broker({broker.number})"
    return f"restart the broker, and attach again: {which}.stop(), {which}.start()"


def _port(broker: EmbeddedBroker, process: Process) -> int | None:
    """The port on which the broker's process listens beside its own two; None if there is none."""
    with contextlib.suppress(psutil.Error):
        listening = {
            each.laddr.port
            for each in psutil.Process(process.pid).net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
        }
        return next(iter(listening - set(broker.cluster.ports[broker.number])), None)
    return None


# Reading pages


class Sample(NamedTuple):
    """One line of a page: a metric's name, its labels as Prometheus writes them ("" for none), and its value."""

    name: str
    labels: str
    value: float


def scrape(url: str, limit: float = LIMIT) -> list[Sample]:
    """The samples of a page, as `pandas.DataFrame` takes them.

    Raises ConnectionError if nothing listens there or the answer breaks off, TimeoutError after `limit` seconds without
    an answer, as from a frozen process. Prometheus has no samples then: an alert must notice that they are absent.
    Raises LabError if it is no page of metrics.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or HOST, address.port, timeout=limit)
    try:
        with contextlib.closing(connection):
            connection.request("GET", address.path or "/")
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        families = list(text_string_to_metric_families(text))
    except ConnectionError:  # among them one that http.client also counts as a bad status line
        raise
    except http.client.BadStatusLine as error:
        raise _no_page(url, "what listens there does not speak HTTP") from error
    except http.client.HTTPException as error:
        raise ConnectionError(f"the answer of {url} broke off") from error
    except ValueError as error:
        raise _no_page(url, f"it begins with {text[:60]!r}") from error
    if answer.status != http.client.OK:
        raise _no_page(url, f"it answers {answer.status} {answer.reason}")
    if not families:
        raise ConnectionError(f"{url} answered nothing")
    return [
        Sample(
            sample.name, ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items())), sample.value
        )
        for family in families
        for sample in family.samples
    ]


def _no_page(url: str, seen: str) -> LabError:
    return LabError(f"{url} is no page of metrics.", seen, "attach(broker) returns the URL of a broker's page")


def numbers(pages: Mapping, names: Sequence[str] = BROKER_DOWN, limit: float = LIMIT) -> "pandas.DataFrame":
    """Scrape all pages at once: a column for each of `pages` (a label and a URL), a row for each name.

    The values are text. The first row says how the scrape went: answered, refused or timed out. Samples with labels are
    left out; what is absent is a dash.
    """
    import pandas  # here, because it takes longer to import than all the rest of a lesson

    with ThreadPoolExecutor(max_workers=len(pages) or 1) as pool:
        asked = {label: pool.submit(_column, url, names, limit) for label, url in pages.items()}
        until(lambda: all(each.done() for each in asked.values()), 60, "the pages to answer")
    return pandas.DataFrame({label: each.result() for label, each in asked.items()}, index=[SCRAPE, *names])


def _column(url: str, names: Iterable[str], limit: float) -> list[str]:
    try:
        found = {sample.name: f"{sample.value:g}" for sample in scrape(url, limit) if not sample.labels}
        how = ANSWERED
    except TimeoutError:
        found, how = {}, TIMED_OUT
    except OSError:
        found, how = {}, REFUSED
    return [how, *(found.get(name, "–") for name in names)]
