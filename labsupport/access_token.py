"""OAUTHBEARER's tokens, for clients that do not fetch them: client credentials (RFC 6749, section 4.4)."""

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from labsupport.errors import RefusedError

SECONDS = 5.0
EARLY = 0.8  # of a token's life; then a new one is fetched


@dataclass(frozen=True)
class ClientCredentials:
    """Who asks for a token, and where. `ca` holds certificates that are trusted too (PEM)."""

    url: str
    client: str
    secret: str = field(repr=False)
    scope: str = ""
    extensions: tuple[tuple[str, str], ...] = ()
    ca: str = field(default="", repr=False)


def fetch(given: ClientCredentials) -> tuple[str, float]:
    """Return a token, and for how many seconds it is valid. Raises RefusedError, which says why there is none."""
    fields = {"grant_type": "client_credentials"} | ({"scope": given.scope} if given.scope else {})
    request = urllib.request.Request(given.url, urlencode(fields).encode())
    pair = f"{quote(given.client, safe='')}:{quote(given.secret, safe='')}"
    request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    request.add_header("Accept", "application/json")
    trusted = ssl.create_default_context()
    if given.ca:
        trusted.load_verify_locations(cadata=given.ca)
    where = f"the token endpoint {given.url}"
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=trusted)]
    if urlsplit(given.url).hostname in ("127.0.0.1", "localhost"):
        handlers.append(urllib.request.ProxyHandler({}))  # the system's proxies do not know this machine's loopback
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
            said = json.loads(answer.read())
        return str(said["access_token"]), float(said.get("expires_in", 300))
    except urllib.error.HTTPError as error:
        raise RefusedError(f"{where} refuses the client {given.client!r}: HTTP {error.code}") from None
    except OSError as error:
        raise RefusedError(f"{where} does not answer: {getattr(error, 'reason', error)}") from None
    except (ValueError, KeyError, TypeError):
        raise RefusedError(f"{where} gave no access_token") from None


class _Tokens:
    """The token of one client, fetched again before it ends. For any thread."""

    def __init__(self, given: ClientCredentials):
        self.given, self._lock = given, threading.Lock()
        self._token, self._end = "", 0.0

    def current(self) -> str:
        with self._lock:
            if time.monotonic() >= self._end:
                begin = time.monotonic()
                self._token, seconds = fetch(self.given)
                self._end = begin + EARLY * seconds
            return self._token


def for_kafka_python(given: ClientCredentials) -> Any:
    """Return the token provider that kafka-python asks."""
    from kafka.net.sasl.oauth import AbstractTokenProvider

    tokens = _Tokens(given)

    class Provider(AbstractTokenProvider):
        def token(self) -> str:
            return tokens.current()

        def extensions(self) -> dict[str, str]:
            return dict(given.extensions)

    return Provider()


def for_aiokafka(given: ClientCredentials) -> Any:
    """Return the token provider that aiokafka asks."""
    import asyncio

    from aiokafka.abc import AbstractTokenProvider

    tokens = _Tokens(given)

    class Provider(AbstractTokenProvider):
        async def token(self) -> str:
            return await asyncio.to_thread(tokens.current)

        def extensions(self) -> dict[str, str]:
            return dict(given.extensions)

    return Provider()
