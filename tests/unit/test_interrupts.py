"""What Ctrl-C does for a while, and that it does afterwards what it did before. See labsupport/interrupts.py."""

import signal
import sys

import nbformat
import pytest
from kafka.errors import KafkaTimeoutError

from labsupport.commands.notebooks import client_of, execute
from labsupport.interrupts import INTERRUPTS, interrupts_call


@pytest.mark.parametrize("number", INTERRUPTS)
def test_a_service_is_asked_to_end_and_gives_the_interrupt_back(number):
    """Also if it ends with an error."""
    asked = []
    with pytest.raises(KafkaTimeoutError), interrupts_call(lambda: asked.append(1)):
        signal.raise_signal(number)
        signal.raise_signal(number)
        raise KafkaTimeoutError
    assert asked == [1, 1]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_after_a_notebook_a_request_to_end_is_heard(tmp_path):
    """A SIGTERM that nobody handles would leave the broker running."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    execute(client_of(notebook, tmp_path))
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
