"""Calls a function as another machine would, a year from now."""

import datetime
import os
import pickle
import platform
import socket
import time
from collections.abc import Callable
from typing import Any

LATER = datetime.timedelta(days=400, hours=5, minutes=17, seconds=23)
NAME = "elsewhere"


def call(packed: bytes, *arguments: Any) -> Any:
    """In a new process: unpickle a function where the clocks are LATER and the machine's name is NAME, and call it."""
    shift, clock, clock_ns = LATER.total_seconds(), time.time, time.time_ns

    def reading(read: Callable) -> Callable:
        return lambda seconds=None: read(clock() + shift if seconds is None else seconds)

    def strftime(form: str, *when: Any) -> str:
        return written(form, *(when or (time.localtime(),)))

    written = time.strftime
    time.time, time.time_ns = lambda: clock() + shift, lambda: clock_ns() + int(shift * 1e9)
    time.localtime, time.gmtime, time.ctime = map(reading, (time.localtime, time.gmtime, time.ctime))
    time.strftime = strftime
    datetime.datetime, datetime.date = Datetime, Date  # type: ignore[misc]
    socket.gethostname = platform.node = lambda: NAME
    os.environ["HOSTNAME"] = NAME
    return pickle.loads(packed)(*arguments)


class Datetime(datetime.datetime):
    """A datetime whose now is LATER."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Datetime":
        """As datetime.now."""
        return super().now(tz) + LATER

    @classmethod
    def utcnow(cls) -> "Datetime":
        """As datetime.utcnow."""
        return super().utcnow() + LATER

    @classmethod
    def today(cls) -> "Datetime":
        """As datetime.today."""
        return cls.now()


class Date(datetime.date):
    """A date whose today is LATER."""

    @classmethod
    def today(cls) -> "Date":
        """As date.today."""
        return super().today() + LATER
