"""Rules and dashboard use only what the lab's pages really have: names and labels, compared with live pages."""

import json
import re
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from labsupport import ErrorHandler, dead_letter, lesson, reading
from labsupport.delivery.retry import Policy
from labsupport.delivery.worker import Worker
from labsupport.errors import PermanentError
from labsupport.observability import alerts, group_lag_metrics, metrics_page
from labsupport.observability.group_lag import Observer
from labsupport.observability.group_watch import DEAD_LETTERS
from labsupport.observability.worker_metrics import WorkerMetrics
from labsupport.settings import CHECKOUT

CONFIG = CHECKOUT / "labsupport" / "observability" / "config"
RULES = [
    rule
    for group in yaml.safe_load((CONFIG / "alert_rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((CONFIG / "dashboard.json").read_text(encoding="utf-8"))
EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
OF_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertstate"}}


@pytest.fixture(scope="module")
def pages(own_home):
    """By sample name, its labels: of a group with a dead letter, and of its worker."""
    lab = lesson("91")
    topic, group = lab.topic("orders"), lab.group("observed")
    lab.dead_letters(topic)
    lab.delete_groups([group])
    for value in (b"1", b"never"):
        lab.producer(name="shop").send(topic, value).get(timeout=300)

    def handle(record):
        if record.value == b"never":
            raise PermanentError("no")

    metrics = WorkerMetrics()
    consumer = lab.consumer(topic, name="A", group_id=group, **reading.READS)
    handler = ErrorHandler(lab.producer(name="dead", **dead_letter.producer_settings()), Policy())
    Worker(consumer, handle, hooks=[metrics], error_handler=handler).run(until=reading.at_the_end(consumer))
    found = {name: set(labels) for name, labels in OF_PROMETHEUS.items()}
    with Observer(lab, lambda name: name == group) as observer:
        for registry in (group_lag_metrics.registry(observer.snapshot), metrics.registry):
            with metrics_page.serve(registry) as page, urllib.request.urlopen(page.url, timeout=300) as answer:
                for family in text_string_to_metric_families(answer.read().decode()):
                    for sample in family.samples:
                        found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return found


def names_in(expression):
    """The metrics that an expression names."""
    return set(re.findall(r"\b(?:kafka|worker)_\w+|\bup\b|\bALERTS\b", re.sub(r'"[^"]*"', "", expression)))


@pytest.mark.parametrize("title", EXPRESSIONS)
def test_an_expression_uses_what_the_pages_have(pages, title):
    """Every metric, and every label that it is chosen or summed by."""
    expression = EXPRESSIONS[title]
    names = names_in(expression)
    assert names, expression
    assert names <= pages.keys(), names - pages.keys()
    labels = set().union(*(pages[name] for name in names))
    used = set(re.findall(r"(\w+)\s*=~?\s*\"", expression))
    for several in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        used |= set(re.findall(r"\w+", several))
    assert used <= labels, used - labels


def test_every_metric_of_the_pages_is_shown_or_watched(pages):
    """Except those that need no picture."""
    unused = {name for name in pages if name.startswith(("kafka_", "worker_"))} - names_in(
        "\n".join(EXPRESSIONS.values())
    )
    assert {re.sub("_(bucket|sum|count|created)$", "", name) for name in unused} <= {
        "worker_handling_seconds", "worker_event_age_seconds", "worker_records", "worker_errors", "worker_dead_letters",
        "worker_commits", "worker_commits_total",
    }  # fmt: skip


def test_annotations_name_only_labels_that_the_rule_keeps(pages):
    """A summary with an empty name would wake somebody for nothing."""
    for rule in RULES:
        expression = rule["expr"]
        kept = re.search(r"^\s*(?:sum|max) by \(([^)]*)\)", expression)
        labels = (
            set(re.findall(r"\w+", kept[1])) if kept else set().union(*(pages[each] for each in names_in(expression)))
        )
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_both_forms_of_the_rules_have_the_same_limits():
    """Python's and Prometheus's; and one pattern for the topics of dead letters."""
    assert alerts.RULES.keys() <= {rule["alert"] for rule in RULES}
    text = "\n".join(rule["expr"] for rule in RULES if rule["alert"] in alerts.RULES)
    assert {int(each) for each in re.findall(r"> (\d{2,})", text)} == {alerts.PRODUCTION.age}
    assert {60 * int(each) for each in re.findall(r"\[(\d+)m\]", text)} == {
        alerts.PRODUCTION.window,
        alerts.PRODUCTION.window * alerts.SHORTER,
    }
    (pattern,) = {each for text in EXPRESSIONS.values() for each in re.findall(r'topic=~"([^"]+)"', text)}
    for topic in ("orders-dlt", "orders.DLT", "orders_dlq", "09-orders-dlt", "orders", "-dlt", "orders-dlt-2"):
        assert bool(re.fullmatch(pattern, topic)) == bool(DEAD_LETTERS.fullmatch(topic)), topic
