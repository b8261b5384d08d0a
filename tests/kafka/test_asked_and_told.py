"""A service that is asked over HTTP, and its twin that reads events: the same handler, and real kills."""

import sqlite3
import threading

import httpx
import pytest

from labsupport import lesson, publish, story, until
from labsupport.errors import LabError
from labsupport.experiments.breaking.service_process import dead, take_effect


@pytest.fixture(scope="module")
def opened(own_home):
    """A lesson that has no notebook."""
    return lesson("98")


@pytest.fixture(scope="module")
def client():
    """One for all: it keeps its connections."""
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture
def asked(opened):
    """A service that is asked; it turns down half of the events when they come for the first time."""
    with opened.http_services("payments", available=0.5) as services:
        yield services["payments"]


def test_when_the_answer_comes_the_row_is_there(asked, client):
    """200 after the row, 503 without one; a second request has no second effect."""
    events = story.orders(20)
    for event in events:
        accepted = asked.ask(client, event)
        assert asked.rows[event.event_id] == accepted
    assert 0 < len(asked.rows) < 20
    assert all(asked.ask(client, event) for event in events for _ in range(2))
    assert asked.rows == dict.fromkeys([event.event_id for event in events], 1)
    assert asked.done.keys() == asked.rows.keys()


def test_requests_share_a_connection_and_what_is_no_event_is_refused(asked, client):
    """The status says whose fault it is; the connection is kept."""
    answers = [client.post(asked.url, content=body) for body in (b"{}", b"no event", b"")]
    assert [answer.status_code for answer in answers] == [400, 400, 400]
    ports = {answer.extensions["network_stream"].get_extra_info("client_addr") for answer in answers}
    assert len(ports) == 1


def test_an_error_of_the_handler_is_an_answer(opened, client):
    """500; the service lives on."""

    def fails(_event, _database):
        raise sqlite3.IntegrityError

    with opened.http_services("payments", handle=fails) as services:
        first, second = [client.post(services["payments"].url, content=event.encode()) for event in story.orders(2)]
        assert (first.status_code, second.status_code) == (500, 500)


def test_what_timed_out_is_done_all_the_same_and_nothing_is_printed(opened):
    """The service is frozen until the client has given up."""
    (event,) = story.orders(1)
    with opened.http_services("payments") as services, httpx.Client() as impatient:
        service = services["payments"]
        service.freeze()
        assert not service.ask(impatient, event, seconds=0.1)
        service.wake()
        service.until_rows(1)
        printed = service._its_child.printed
    assert printed == ""


def test_one_at_a_time_means_one_at_a_time(opened, client):
    """Eight at once: no two are in the handler together."""

    def exclusive(event, database):
        with database:
            database.execute("CREATE TABLE inside (one)")  # raises if another one is inside
        take_effect(event, database)
        with database:
            database.execute("DROP TABLE inside")

    with opened.http_services("payments", at_once=1, handle=exclusive) as services:
        answers = []

        def ask(event):
            answers.append(services["payments"].ask(client, event))

        threads = [threading.Thread(target=ask, args=[event]) for event in story.orders(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [True] * 8


def test_a_killed_service_misses_requests_and_no_events(opened, client):
    """Both worlds, the same kill: the sheets say what is lost; nothing is done twice."""
    topic, events = opened.topic("orders"), story.orders(9)
    shop = opened.producer(name="shop")

    def both_ways(part):
        publish.publish(shop, topic, part)
        return [asked["payments"].ask(client, event) for event in part]

    with opened.asked_and_told(topic, "payments") as (asked, told):
        answered = both_ways(events[:3])
        with dead(asked["payments"], told["payments"]):
            answered += both_ways(events[3:6])
        answered += both_ways(events[6:])
        sheets = asked["payments"].sheet(events), told["payments"].sheet()
    assert answered == [True] * 3 + [False] * 3 + [True] * 3
    assert [sheets[0].count(each) for each in ("produced", "processed", "lost", "twice")] == [9, 6, 3, 0]
    assert [sheets[1].count(each) for each in ("produced", "processed", "lost", "twice")] == [9, 9, 0, 0]


def test_the_twin_retries_what_it_turned_down(opened):
    """It turns down the same events as the one that is asked, and handles them soon after."""
    topic, events = opened.topic("orders"), story.orders(10)
    publish.publish(opened.producer(name="shop"), topic, events)
    with opened.event_services(topic, "payments", available=0.5) as told:
        assert told["payments"].sheet().count("processed") == 10
        assert told["payments"].committed == 10
        assert told["payments"].until_done(events[0]) == told["payments"].done[events[0].event_id]


def test_the_services_end_with_their_block(opened):
    """Whatever happens in it; a service that runs is not started again, and one that is dead is not frozen."""
    with pytest.raises(ZeroDivisionError), opened.http_services("payments") as services:
        process = services["payments"]._its_child.process
        with pytest.raises(LabError, match="is running"):
            services["payments"].start()
        raise ZeroDivisionError
    until(lambda: not process.alive, 300, "the service to be gone")
    with pytest.raises(LabError, match="does not run"):
        services["payments"].freeze()
