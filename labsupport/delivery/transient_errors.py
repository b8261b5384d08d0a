"""Which errors pass by themselves: those caused by the machine or the network, not by the event or the program.

They are recognized without importing the libraries that raise them. Libraries often wrap a system error, so an error
under `reason` or among the arguments counts too. Of HTTP's answers 408, 425, 429, 502, 503 and 504 pass. A 500 may be
the event's fault, and any other 4xx is.
"""

import errno
import http.client
import socket
import sqlite3
import ssl
import urllib.error
from collections.abc import Iterator

# OSError numbers: connections, routes, timeouts; exhausted files and memory; failing or busy disks.
_NAMES = """
    EAGAIN EWOULDBLOCK EINTR EBUSY ENOLCK EDEADLK ETXTBSY ENFILE EMFILE ENOMEM ENOBUFS ENOSPC EDQUOT EIO EROFS ENXIO
    ESTALE EREMOTEIO EPIPE ENETDOWN ENETUNREACH ENETRESET EHOSTDOWN EHOSTUNREACH ENONET ECONNABORTED ECONNREFUSED
    ECONNRESET ENOTCONN ESHUTDOWN ETIMEDOUT ETIME EADDRNOTAVAIL EADDRINUSE
"""
MACHINE = {getattr(errno, name) for name in _NAMES.split() if hasattr(errno, name)}
HELD_BY_OTHERS = {32, 33}  # Windows: another process has the file open or locked
_LOOKUPS = "EAI_AGAIN EAI_FAIL EAI_MEMORY EAI_NODATA EAI_NONAME EAI_SYSTEM"
LOOKUPS = {getattr(socket, name) for name in _LOOKUPS.split() if hasattr(socket, name)}
# SQLite's codes for trouble with the machine instead of the statement.
SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
HTTP = {408, 425, 429, 502, 503, 504}
# By library, the classes for connections and timeouts. Subclasses count too.
LIBRARIES = {
    "requests": {"ConnectionError", "Timeout", "ChunkedEncodingError", "RetryError"},
    "urllib3": {"TimeoutError", "ProtocolError", "NewConnectionError", "ProxyError"},
    "httpx": {"TimeoutException", "NetworkError", "RemoteProtocolError", "ProxyError"},
    "httpx2": {"TimeoutException", "NetworkError", "RemoteProtocolError", "ProxyError"},  # as the registry's client
    "httpcore": {"TimeoutException", "NetworkError", "RemoteProtocolError", "ProxyError"},
    "aiohttp": {"ClientConnectionError", "ClientPayloadError"},
    "redis": {"ConnectionError", "TimeoutError", "BusyLoadingError"},
    "pymongo": {"ConnectionFailure"},
    "botocore": {"ConnectionError", "HTTPClientError"},
    "psycopg": {"OperationalError"},
    "psycopg2": {"OperationalError"},
    "smtplib": {"SMTPServerDisconnected", "SMTPConnectError"},
}
LIBRDKAFKA = {"_TRANSPORT", "_TIMED_OUT", "_MSG_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE", "REQUEST_TIMED_OUT"}


def passes(error: BaseException) -> bool:
    """Whether the error, or the one it carries as its reason, passes by itself. Its `__cause__` does not count."""
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in _within(error, "__cause__", "reason")):
        return False  # a bad certificate stays bad, although libraries call it a failed connection
    return any(map(_passes, _within(error, "reason")))


def _within(error: BaseException, *names: str, seen: frozenset[int] = frozenset()) -> Iterator[BaseException]:
    """The error and those that it carries, under these names or as arguments."""
    if id(error) in seen:
        return
    yield error
    for inner in (*(getattr(error, name, None) for name in names), *error.args):
        if isinstance(inner, BaseException):
            yield from _within(inner, *names, seen=seen | {id(error)})


def _passes(error: BaseException) -> bool:
    if (status := _status(error)) is not None:
        return status in HTTP
    if isinstance(code := getattr(error, "smtp_code", None), int):
        return 400 <= code < 500  # SMTP's own "come back later"
    if _retriable(error) or _of_a_library(error):
        return True
    match error:
        case ssl.SSLError():  # before OSError, because its numbers have other meanings
            return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
        case socket.gaierror():
            return error.errno in LOOKUPS
        case ConnectionError() | TimeoutError() | http.client.IncompleteRead():
            return True
        case OSError():
            return error.errno in MACHINE or getattr(error, "winerror", None) in HELD_BY_OTHERS
        case sqlite3.Error():
            return _primary(error) in SQLITE
    return False


def _status(error: BaseException) -> int | None:
    """The HTTP status, if the error has one."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code
    answer = getattr(error, "response", None)
    status = getattr(answer, "status_code", None)  # requests, httpx
    if status is None and _root(type(error)) == "aiohttp":
        status = getattr(error, "status", None)
    if status is None and _root(type(error)) == "confluent_kafka":
        status = getattr(error, "http_status_code", None)  # a schema registry's
    return status if isinstance(status, int) else None


def _retriable(error: BaseException) -> bool:
    """Whether a Kafka client calls it retriable: kafka-python and aiokafka by attribute, confluent-kafka by code."""
    if _root(type(error)) == "cimpl":
        return any(said.retriable() or said.name() in LIBRDKAFKA for said in error.args if hasattr(said, "retriable"))
    return getattr(error, "retriable", False) is True


def _of_a_library(error: BaseException) -> bool:
    return any(each.__name__ in LIBRARIES.get(_root(each), ()) for each in type(error).__mro__)


def _root(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _primary(error: sqlite3.Error) -> int:
    """SQLite's code for the error, without the detail in the higher bits; -1 if it has none."""
    code = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1
