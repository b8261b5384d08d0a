"""Your service. It answers that it is there, and nothing else yet: README.md says what it must do."""

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from labsupport.settings import Settings

KAFKA = Settings.from_environment().connection_to(os.environ["CAPSTONE_KAFKA"])  # KafkaProducer(**KAFKA.kafka_python())
FLIGHTS = os.environ["CAPSTONE_FLIGHTS"]
ALARMS = os.environ["CAPSTONE_ALARMS"]
DEAD_LETTERS = os.environ["CAPSTONE_DEAD_LETTERS"]
GROUP = os.environ["CAPSTONE_GROUP"]
PORT = int(os.environ["CAPSTONE_PORT"])
DATA = os.environ["CAPSTONE_DATA"]

ended = threading.Event()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/health"  # still to come: /delays?day=2013-01-01, /late, /metrics
        body = b"ok" if known else b"[]"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while not ended.is_set():
        ended.wait(0.5)  # still to come: read the flights, keep their delays, commit


if __name__ == "__main__":
    main()
