"""A topic's log as the broker holds it, and its picture."""

from itertools import pairwise

import matplotlib
import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from labsupport import lesson
from labsupport.course import session
from labsupport.errors import LabError
from labsupport.experiments.watching import plots
from labsupport.experiments.watching.log import Log, text, until_end
from labsupport.experiments.watching.plots import topics

matplotlib.use("Agg")


@pytest.fixture
def opened():
    """A lesson of no notebook."""
    yield lesson("97")
    session.close()


@pytest.fixture
def held(opened) -> Log:
    """Six records in three partitions, two of them deleted, and a group's committed offset."""
    topic, group = opened.topic("orders", partitions=3), opened.group("g")
    producer = opened.producer(name="P")
    for number, (partition, key) in enumerate([(0, b"a"), (0, b"b"), (2, None), (0, b"a"), (2, b"\xff"), (0, b"a")]):
        producer.send(topic, b"%d" % number, key=key, partition=partition)
    producer.flush(timeout=300)
    opened.admin().delete_records({TopicPartition(topic, 0): 2})
    reader = opened.consumer(name="A", group_id=group)
    reader.assign([TopicPartition(topic, 0)])
    reader.commit({TopicPartition(topic, 0): OffsetAndMetadata(3, "", -1)}, timeout_ms=10_000)
    return opened.log(topic, group)


def test_the_log_is_what_the_broker_holds(held):
    """Records by partition and offset, log start and end, committed offsets."""
    assert [(r.partition, r.offset, r.value) for r in held.records] == [
        (0, 2, b"3"), (0, 3, b"5"), (2, 0, b"2"), (2, 1, b"4"),
    ]  # fmt: skip
    assert held.begins == {0: 2, 1: 0, 2: 0}
    assert held.ends == {0: 4, 1: 0, 2: 2}
    assert held.committed == {0: 3}


def test_a_group_that_has_committed_nothing(opened):
    """On a broker that has never seen a group."""
    assert opened.log(opened.topic("orders"), opened.group("nobody")).committed == {}


def test_its_tables_show_the_same(held):
    """A missing key is a dash, bytes that are not text are escaped, an empty partition has its column."""
    assert held.table.reset_index().to_numpy().tolist() == [
        [0, 2, "a", "3"], [0, 3, "a", "5"], [2, 0, "–", "2"], [2, 1, "\\xff", "4"],
    ]  # fmt: skip
    assert held.keys.to_dict() == {
        0: {"a": 2, "–": 0, "\\xff": 0},
        1: {"a": 0, "–": 0, "\\xff": 0},
        2: {"a": 0, "–": 1, "\\xff": 1},
    }


def test_an_empty_topic_has_an_empty_log(opened):
    """It can be drawn too."""
    empty = opened.log(opened.topic("empty", partitions=2))
    assert (empty.records, empty.ends) == ((), {0: 0, 1: 0})
    assert empty.table.empty
    assert empty.keys.empty
    assert "Partition 1: empty; end 0." in repr(plots.log(empty).figure)


def test_a_topic_that_does_not_exist_is_named(opened):
    """Asking for it does not create it."""
    with pytest.raises(LabError, match="There is no topic '97-nowhere'"):
        opened.log("97-nowhere")
    assert opened.topics("97-") == []


def test_reading_the_log_does_not_disturb_consumers(opened):
    """A consumer that was created before continues at its position."""
    topic = opened.topic("orders")
    opened.producer(name="P").send(topic, b"1").get(timeout=300)
    reader = opened.consumer(topic, name="A", auto_offset_reset="earliest")
    opened.log(topic)
    assert next(reader).value == b"1"
    assert opened.groups("97-") == []


def test_transaction_markers_take_offsets_and_are_no_records(opened):
    """Reading to the end does not wait for a record that never comes."""
    topic = opened.topic("orders")
    producer = opened.producer(name="P", transactional_id="97-t")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"1")
    producer.commit_transaction()
    until_end(opened, topic, {0: 2})
    log = opened.log(topic)
    assert (len(log.records), log.ends) == (1, {0: 2})


def test_the_picture_is_described_in_words(held):
    """A reader without the picture gets the description, and nbval compares it."""
    axes = plots.log(held)
    assert repr(axes.figure) == (
        "Picture: the log of 97-orders. Partition 0: a a; end 4, committed 3. Partition 1: empty; end 0. "
        "Partition 2: – \\xff; end 2."
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("offset (records)", "partition")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["\\xff", "a", "no key", "committed"]


def test_the_picture_can_show_values(held):
    """Then an order that is torn over partitions can be seen; the description has them too."""
    axes = plots.log(held, label="value")
    values = [text(record.value) for record in held.records]
    assert [each.get_text() for each in axes.texts if each.get_text() != "end"] == values
    assert all(each in repr(axes.figure) for each in values)


def test_a_picture_can_be_drawn_into_given_axes(held):
    """For pictures side by side."""
    figure, (left, right) = matplotlib.pyplot.subplots(1, 2)
    assert plots.log(held, left) is left
    assert plots.log(held, right) is right
    figure.canvas.draw()


def test_keys_can_be_told_apart_without_colours():
    """Forty keys, forty pairs of colour and hatching; neighbours differ in both."""
    looks = list(topics._looks([f"{number:02}" for number in range(40)]).values())
    assert len({tuple(look.values()) for look in looks}) == 40
    assert all(a["hatch"] != b["hatch"] for a, b in pairwise(looks))
