"""Where the lab's servers listen."""

import socket

import pytest

from labsupport import ports
from labsupport.errors import LabError
from labsupport.ports import HOST, LISTENING, free_port, free_ports


def test_ports_are_free_different_and_not_those_of_outgoing_connections():
    """No program's connection can take one while the server that had it is down."""
    found = free_ports(50)
    assert len(set(found)) == 50
    assert set(found) <= set(LISTENING)
    with socket.create_server((HOST, found[0])), socket.create_connection((HOST, found[0])) as connection:
        assert connection.getsockname()[1] not in LISTENING


def test_the_preferred_come_first_if_they_are_free():
    """Taken ones are passed over, whatever took them."""
    first, second = free_ports(2)
    assert free_ports(2, [first, second]) == [first, second]
    with socket.create_server((HOST, first)):
        assert free_ports(2, [first, second])[0] == second
        assert free_port() != first


def test_too_few_free_ports_are_an_error_and_the_held_ones_are_given_back(monkeypatch):
    """A machine without free ports says so."""
    (only,) = free_ports(1)
    monkeypatch.setattr(ports, "LISTENING", range(only, only + 1))
    with pytest.raises(LabError, match="no 2 free ports"):
        free_ports(2)
    assert free_ports(1) == [only]
