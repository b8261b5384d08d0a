"""Errors, waits and settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsupport.errors import LabError
from labsupport.settings import Settings, default_learner, parse_addresses
from labsupport.waiting import only_one, until


def test_an_error_says_what_was_tried_what_was_seen_and_what_to_do():
    """All three parts are in the text, each on lines of its own."""
    error = LabError("Could not start.", "line one\nline two", "python3 lab.py up")
    assert str(error) == "Could not start.\n  seen: line one\n        line two\n  next: python3 lab.py up"
    assert error._render_traceback_() == [f"LabError: {error}"]


def test_until_returns_what_the_condition_returned():
    """The value is handed on, so that a caller need not ask twice."""
    answers = iter([0, "", "there"])
    assert until(lambda: next(answers), 300, "an answer", every=0) == "there"


def test_until_names_what_it_waited_for():
    """A wait that times out says for what it waited, how long, and what to do next."""
    with pytest.raises(LabError) as caught:
        until(lambda: False, 0.01, "the moon", next_step="look up")
    assert "0.01 s for the moon" in str(caught.value)
    assert caught.value.next_step == "look up"


def test_a_lock_lets_one_program_at_a_time(tmp_path):
    """The second one gives up at its deadline and says what the first is doing; afterwards the lock is free."""
    lock = tmp_path / "deep" / "x.lock"
    refused = pytest.raises(LabError, match="another program to finish fetching")
    with only_one(lock, "fetching"), refused, only_one(lock, "fetching", timeout=0.05):
        pass
    with only_one(lock, "fetching", timeout=0.05):
        pass


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.integers(1, 65535)),
        min_size=1,
        max_size=4,
    )
)
def test_addresses_survive_being_written_and_read(pairs):
    """Every list of host and port is read back as it was written."""
    assert parse_addresses(",".join(f"{host}:{port}" for host, port in pairs)) == pairs


def test_an_ipv6_address_is_understood():
    """Its brackets are for the notation, not for the socket."""
    assert parse_addresses("[::1]:9092") == [("::1", 9092)]


@pytest.mark.parametrize(
    "text", ["localhost", "localhost:", ":9092", "localhost:http", "localhost:0", "localhost:70000", "a:1,,b:2",
             "kafka://localhost:9092", "localhost:9092/", "a b:9092"],
)  # fmt: skip
def test_a_malformed_address_is_refused_with_the_right_form(text):
    """The sentence names the part that is wrong and shows the form that is right."""
    with pytest.raises(LabError, match=r"LAB_KAFKA is .*") as caught:
        Settings.from_environment({"LAB_KAFKA": text})
    assert "LAB_KAFKA=localhost:9092" in caught.value.next_step


def test_names_carry_a_prefix_only_on_a_foreign_broker(tmp_path):
    """On the lab's own broker names are short; elsewhere they say whose they are."""
    home = {"LAB_HOME": str(tmp_path)}
    assert Settings.from_environment(home).prefix == ""
    foreign = home | {"LAB_KAFKA": "kafka.school:9092", "LAB_LEARNER": "anna"}
    assert Settings.from_environment(foreign).prefix == "lab-anna-"


def test_the_default_learner_is_a_valid_one():
    """Whatever the user and the machine are called, the name can stand in a topic."""
    settings = Settings.from_environment({"LAB_LEARNER": default_learner(), "LAB_KAFKA": "a:1"})
    assert settings.prefix == f"lab-{default_learner()}-"


@pytest.mark.parametrize("name", ["Anna", "a-b", "a.b", "x" * 51, "ä"])
def test_a_learner_that_would_blur_the_names_is_refused(name):
    """A dash would make `lab-a-` a beginning of `lab-a-b-`: then one learner could delete another's topics."""
    with pytest.raises(LabError, match="LAB_LEARNER"):
        Settings.from_environment({"LAB_LEARNER": name})


def test_an_offline_folder_must_exist(tmp_path):
    """A typing error in LAB_OFFLINE is found before anything is tried."""
    with pytest.raises(LabError, match="no such folder"):
        Settings.from_environment({"LAB_OFFLINE": str(tmp_path / "nowhere")})


def test_empty_variables_count_as_unset(tmp_path):
    """`LAB_KAFKA= python3 lab.py` means: the lab's own broker."""
    settings = Settings.from_environment(
        {"LAB_KAFKA": " ", "LAB_OFFLINE": "", "LAB_MAVEN": "", "LAB_HOME": str(tmp_path)}
    )
    assert settings.embedded
    assert settings.offline is None
    assert settings.maven is None
