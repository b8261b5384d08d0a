"""`lab.py`: when JupyterLab's address is one."""

import contextlib
import http.server
import json
import socket
import sys
import threading
from dataclasses import replace

import pytest

from labsupport.broker import background
from labsupport.broker.process import Process
from labsupport.commands import start


class Answers(http.server.BaseHTTPRequestHandler):
    """Knows one token, as a server of Jupyter."""

    def do_GET(self):
        """Answer 200 to the right token, 403 to others."""
        self.send_response(200 if self.path.endswith("token=mine") else 403)
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


def test_jupyterlab_listens_later_than_it_writes_its_address(settings, tmp_path):
    """No file yet; the file, and nobody listens; then another server has the port; then it is ours."""
    own = replace(settings, home=tmp_path)
    runtime = tmp_path / "jupyter" / "runtime"
    runtime.mkdir(parents=True)
    assert not start._listens(own, 7)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = {"url": f"http://localhost:{port}/", "hostname": "localhost", "port": port, "token": "mine"}
    (runtime / "jpserver-7.json").write_text(json.dumps(server))
    assert not start._listens(own, 7)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        assert start._listens(own, 7)
        (runtime / "jpserver-7.json").write_text(json.dumps(server | {"token": "another"}))
        assert not start._listens(own, 7)
        there.shutdown()


TAKEN = "print('The port 8888 is already in use.'); raise SystemExit(1)"


@pytest.mark.parametrize(("port", "times"), [(None, 1), (None, 3), (8888, 1)])
def test_a_port_that_is_taken_before_jupyterlab_listens_is_chosen_anew(elsewhere, monkeypatch, port, times):
    """By another lab that starts at the same moment: not for ever, and not if the port was asked for."""
    real, lost = Process.start, []

    def starts(name, command, *more, **named):
        if name == "JupyterLab" and len(lost) < times:
            lost.append(command)
            command = [sys.executable, "-c", TAKEN]
        return real(name, command, *more, **named)

    elsewhere.home.mkdir()
    monkeypatch.setattr(Process, "start", starts)
    works = port is None and times == 1
    refused = contextlib.nullcontext() if works else pytest.raises(start.LabError, match="JupyterLab did not start")
    with refused, start._jupyter_lab(elsewhere, port, "localhost") as (process, address):
        assert process.alive
        assert "token=" in address
    assert len(lost) == (1 if port else times)
    assert background.stop_all(elsewhere) == []
