"""Rebuilding the report in a group of its own: its hash, after a kill too, and refusals where it would do harm."""

import contextlib
from contextlib import closing

import pytest
from kafka import TopicPartition

from labsupport import publish, reading, rebuilding, report, reset, story
from labsupport.delivery.worker import Worker
from labsupport.errors import LabError
from labsupport.experiments.breaking import rebuilds
from labsupport.experiments.watching import log
from labsupport.shop.event import Event

EVENTS = story.events(300, seed=1)
GROUP = "98-rebuilt"


@pytest.fixture
def topic(cluster):
    """A topic with events, and a group that does not exist."""
    cluster.delete_groups([GROUP, "98-other"])
    name = cluster.create_topic("98-orders", 3)
    publish.publish(cluster.producer(name="p"), name, EVENTS)
    return name


@pytest.fixture
def database():
    """A report that is kept nowhere."""
    with closing(report.database(":memory:")) as opened:
        yield opened


def event_of(record):
    """The event in a record."""
    return Event.decode(record.value)


def rebuild(cluster, topic, handle, *, group=GROUP, **how):
    """A rebuild with a consumer of its own."""
    settings = {"group_id": group, "enable_auto_commit": False, "max_poll_records": 20}
    return rebuilding.rebuild(cluster.consumer(name="rebuild", **settings), topic, handle, decode=event_of, **how)


def digest_of(events):
    """The hash of the report that these events make."""
    with closing(report.database(":memory:")) as direct:
        for event in events:
            report.add(direct, event)
        return report.digest(direct)


@pytest.mark.parametrize("seed", range(3))
def test_a_rebuild_that_is_killed_half_way_and_run_again_comes_to_the_live_state(cluster, seed):
    """Whatever the order in the partitions, with duplicates; and the second run begins where the first was killed."""
    trial = rebuilds.run_trial(cluster, seed)
    assert trial.live == trial.rebuilt
    assert 0 < trial.read_again < trial.produced


def test_a_service_goes_on_live_where_the_rebuild_has_ended(cluster, topic, database):
    """Its place is the end that was fixed at the start: what came since is read once, by the service."""

    def handle(event):
        report.add(database, event)
        if event == EVENTS[0]:
            publish.publish(cluster.producer(name="p"), topic, story.events(340, seed=1)[300:])

    rebuilt = rebuild(cluster, topic, handle)
    assert rebuilt.done == 300
    assert report.digest(database) == digest_of(EVENTS)
    settings = {"group_id": GROUP, "enable_auto_commit": False}
    live = cluster.consumer(topic, name="live", **settings)
    handled = []
    Worker(live, handled.append, decode=event_of).run(until=reading.at_the_end(live))
    assert len(handled) == 40
    for event in handled:
        report.add(database, event)
    assert report.digest(database) == digest_of(story.events(340, seed=1))


def test_a_handler_that_raises_leaves_what_was_kept_and_the_next_run_goes_on(cluster, topic):
    """The place is never ahead of what is kept."""
    kept, handled = [], []

    def handle(event):
        if len(handled) == 200 and len(kept) < 250:
            raise KeyError("on purpose")
        handled.append(event)

    def keep():
        kept[:] = handled

    with pytest.raises(KeyError) as caught:
        rebuild(cluster, topic, handle, keep=keep, every=0)
    assert "200 handled" in caught.value.__notes__[0]
    assert 0 < sum(log.committed(cluster, topic, GROUP).values()) == len(kept) <= 200
    again = []
    rebuilt = rebuild(cluster, topic, again.append)
    assert len(again) == 300 - len(kept)
    assert {*kept, *again} == set(EVENTS)
    assert "goes on at" in str(rebuilt)


def test_a_group_with_a_place_of_its_own_is_refused(cluster, topic):
    """A service's, or that of a rebuild that has come to its end."""
    other = cluster.consumer(topic, name="other", group_id="98-other", auto_offset_reset="earliest")
    for record in reading.to_the_end(other):
        other.commit(reading.after(record))
    cluster.close_client("other")
    rebuild(cluster, topic, str)
    for group in ("98-other", GROUP):
        before = log.committed(cluster, topic, group)
        with pytest.raises(LabError, match="has committed offsets in 98-orders already"):
            rebuild(cluster, topic, pytest.fail, group=group)
        assert log.committed(cluster, topic, group) == before
    reset.reset_offsets(cluster.admin(), "98-other", topic, to="earliest")  # the way that the message names
    live = cluster.consumer(topic, name="other", group_id="98-other", enable_auto_commit=False)
    assert len(list(reading.to_the_end(live))) == 300


def test_a_group_with_members_is_refused_before_anything_is_handled(cluster, topic):
    """It has no place yet, but somebody reads with it."""
    consumer = cluster.consumer(topic, name="A", group_id=GROUP, enable_auto_commit=False)
    reading.join(consumer)
    with pytest.raises(LabError, match="cannot be rebuilt now") as caught:
        rebuild(cluster, topic, pytest.fail)
    assert "stop them first" in caught.value.next_step


def test_a_member_that_joins_in_between_ends_it(cluster, topic):
    """The place is the member's from then on: the rebuild says so."""

    def handle(event):
        if event == EVENTS[0]:
            consumer = cluster.consumer(topic, name="A", group_id=GROUP, enable_auto_commit=False)
            reading.join(consumer)

    with pytest.raises(LabError, match="cannot be rebuilt now"):
        rebuild(cluster, topic, handle, every=0)


def test_a_consumer_without_a_group_or_that_commits_by_itself_is_refused(cluster, topic):
    """There would be nowhere to remember, or the place would be ahead of the state."""
    with pytest.raises(LabError, match="remembers how far it came in a group"):
        rebuilding.rebuild(cluster.consumer(name="rebuild"), topic, str)
    with pytest.raises(LabError, match="decides what is committed"):
        rebuilding.rebuild(cluster.consumer(name="rebuild", group_id=GROUP), topic, str)


def test_records_that_were_deleted_before_it_goes_on_are_told(cluster, topic):
    """Its place lies before the beginning now."""

    def handle(event):
        if len(handled) == 100:
            raise KeyError
        handled.append(event)

    handled = []
    with pytest.raises(KeyError):
        rebuild(cluster, topic, handle, every=0)
    ends = log.bounds(cluster, topic)[1]
    cluster.admin().delete_records({TopicPartition(topic, each): end for each, end in ends.items()})
    rebuilt = rebuild(cluster, topic, pytest.fail)
    assert rebuilt.complete
    assert "is not there any more" in str(rebuilt)


def test_what_is_no_event_is_counted_and_left(cluster, topic, database):
    """The rebuild does not stand still at it."""
    cluster.producer(name="p").send(topic, b"no event", b"key").get(timeout=300)
    rebuilt = rebuild(cluster, topic, lambda event: report.add(database, event))
    assert rebuilt.skipped == {"undecodable": 1}
    assert report.digest(database) == digest_of(EVENTS)


def test_two_rebuilds_of_one_group_at_once_on_one_machine(cluster, topic):
    """The second is refused at once, and the first comes to its end."""
    refused = []

    def handle(event):
        if event == EVENTS[0]:
            second = cluster.consumer(name="second", group_id=GROUP, enable_auto_commit=False)
            with pytest.raises(LabError, match="is being rebuilt already") as caught:
                rebuilding.rebuild(second, topic, refused.append, decode=event_of)
            assert "another program on this machine" in caught.value.seen

    assert rebuild(cluster, topic, handle).done == 300
    assert refused == []
    fails = pytest.raises(LabError, match="has committed offsets in 98-orders already")
    with fails:  # and the lock is free again
        rebuild(cluster, topic, print)


def test_two_rebuilds_of_one_group_on_two_machines(cluster, topic, monkeypatch):
    """Without a common lock the one whose place is taken stops before it commits; the other comes to its end."""
    monkeypatch.setattr(rebuilding, "_alone", lambda *_: contextlib.nullcontext())
    seen, kept = [], []

    def handle(event):
        if event == EVENTS[0] and not seen:
            seen.append(event)
            second = cluster.consumer(name="second", group_id=GROUP, enable_auto_commit=False)
            assert rebuilding.rebuild(second, topic, kept.append, decode=event_of).done == 300

    with pytest.raises(LabError, match="is being rebuilt already") as caught:
        rebuild(cluster, topic, handle)
    assert "another rebuild" in caught.value.seen
    assert len(kept) == 300
    ends = log.bounds(cluster, topic)[1]
    assert log.committed(cluster, topic, GROUP) == ends


def test_a_group_that_is_reset_under_a_rebuild_stops_it(cluster, topic):
    """Otherwise its committed offsets would be overwritten."""

    def handle(event):
        if event == EVENTS[0]:
            reset.reset_offsets(cluster.admin(), GROUP, topic, to="latest")

    with pytest.raises(LabError, match="is being rebuilt already") as caught:
        rebuild(cluster, topic, handle)
    assert "or a reset" in caught.value.seen
    assert log.committed(cluster, topic, GROUP) == log.bounds(cluster, topic)[1]
