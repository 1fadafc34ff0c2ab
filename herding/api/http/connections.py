"""Connections under limits: size of heads, time to send them and bodies, and number per address.

uvicorn limits none of these with httptools, and h11, which limits heads, needs several times longer for each request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

LOG_SECONDS = 10.0
"""Seconds between two log lines for the same reason."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of connections. Sizes are in bytes, times in seconds, rates in bytes per second.

    `per_address` is None behind a proxy, whose connections are all from one address. A body must be complete, or go on
    with `min_body_rate`, after `body_seconds`.
    """

    total: int = 10_000
    per_address: int | None = 256
    max_head: int = 65_536
    max_headers: int = 100
    head_seconds: float = 15.0
    body_seconds: float = 30.0
    min_body_rate: float = 1_000.0
    linger_seconds: float = 2.0


class Connections:
    """A registry of all open connections, which keeps their number within the limits.

    Above a limit the oldest connection gives way that has not sent a complete request, or waits for none: an address
    that opens many of them cannot lock out others, nor itself. A connection whose request is served is never closed.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._all: dict[GuardedProtocol, None] = {}
        self._by_address: dict[str, dict[GuardedProtocol, None]] = {}
        self._logged: dict[str, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: GuardedProtocol) -> bool:
        """Register a new connection; return False where there is no room for it."""
        address, limits = connection.address, self.limits
        own = self._by_address.setdefault(address, {})
        if limits.per_address is not None and len(own) >= limits.per_address:
            self.note("too many connections of one address", address)
            if not self._make_room(own) and not _is_loopback(address):
                return False
        if len(self._all) >= limits.total:
            self.note("too many connections", address)
            if not self._make_room(self._all):
                return False
        self._all[connection] = None
        self._by_address.setdefault(address, {})[connection] = None
        return True

    def remove(self, connection: GuardedProtocol) -> None:
        """Forget a connection that is closed."""
        self._all.pop(connection, None)
        if own := self._by_address.get(connection.address):
            own.pop(connection, None)
            if not own:
                del self._by_address[connection.address]

    def note(self, reason: str, address: str) -> None:
        """Log why a connection is closed, at most one line per reason and interval."""
        now = time.monotonic()
        last, more = self._logged.get(reason, (-LOG_SECONDS, 0))
        if now - last < LOG_SECONDS:
            self._logged[reason] = (last, more + 1)
            return
        self._logged[reason] = (now, 0)
        log.warning("close connection (%s, address %s, %d more before)", reason, address or "unknown", more)

    def _make_room(self, among: Iterable[GuardedProtocol]) -> bool:
        idle = next((connection for connection in among if not connection.is_served), None)
        if idle is None:
            return False
        self.remove(idle)
        idle.transport.close()
        return True


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits on heads, bodies and connections.

    It knows three phases: a head that is incomplete, a body that is incomplete, and the time in which the client has
    nothing to send. The first two have a deadline; uvicorn has one for idle connections. A head that begins in the
    packet that ends another request counts from its next packet.
    """

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections, self._limits = connections, connections.limits
        self.address = ""
        self._in_head, self._head_size = True, 0
        self._body_size = self._framing_size = 0
        self._phase = ""
        self._timer: asyncio.TimerHandle | None = None
        self._is_refused = self._is_head_too_large = False

    @property
    def is_served(self) -> bool:
        """True while a complete request waits for the end of its response."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not self._connections.add(self):
            self._refuse(503, "Too many connections from your address. Close some, or try again later.")
            return
        self._enter("head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter("")
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return  # read and dropped, so that the client can read the refusal
        while self._in_head and self._head_size + len(data) > self._limits.max_head:
            part, data = (
                data[: self._limits.max_head - self._head_size],
                data[self._limits.max_head - self._head_size :],
            )
            self._head_size += len(part)
            super().data_received(part)
            if self._is_refused or self.transport.is_closing():
                return
            if self._in_head and self._head_size >= self._limits.max_head:
                self._refuse_head()
                return
        if self._in_head:
            self._head_size += len(data)
        else:
            self._framing_size += len(data)
        super().data_received(data)
        self._check()

    def _check(self) -> None:
        """Enter the phase that the connection is in now."""
        if self._is_refused:
            return
        if not self._in_head:
            if self._framing_size > self._limits.max_head or len(self.headers) > self._limits.max_headers:
                self._refuse_head()  # trailers are heads too
                return
            self._enter("body")
        else:
            self._enter("head" if self._head_size else "idle")

    def on_headers_complete(self) -> None:
        if len(self.headers) > self._limits.max_headers:
            self._is_head_too_large = True
            raise ValueError("too many headers")
        self._in_head, self._head_size = False, 0
        self._body_size = self._framing_size = 0
        super().on_headers_complete()
        self.headers = []  # trailers are no headers of the request

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        self._framing_size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._head_size = True, 0
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Serve the request as if it did not ask for another protocol."""

    def send_400_response(self, msg: str) -> None:
        if self._is_head_too_large:
            self._refuse_head()
        else:
            self._refuse(400, msg)

    def _enter(self, phase: str) -> None:
        """Start the deadline of a phase, unless it runs."""
        if phase == self._phase:
            return
        self._phase = phase
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if phase == "head":
            self._timer = self.loop.call_later(self._limits.head_seconds, self._head_expired)
        elif phase == "body":
            self._timer = self.loop.call_later(self._limits.body_seconds, self._body_expired, 0)

    def _head_expired(self) -> None:
        self._timer = None
        if self._head_size:
            self._refuse(408, "The head of the request was not complete in time.")
        else:
            self.transport.close()  # opened in advance, as browsers do

    def _body_expired(self, before: int) -> None:
        seconds = self._limits.body_seconds
        is_slow = self._body_size - before < self._limits.min_body_rate * seconds
        if is_slow and not self.flow.read_paused:  # else it is us who do not read
            self._timer = None
            self._refuse(408, "The body of the request was not complete in time.")
            return
        self._timer = self.loop.call_later(seconds, self._body_expired, self._body_size)

    def _refuse_head(self) -> None:
        limits = self._limits
        message = f"The head of the request is too large. Send at most {limits.max_head:,} bytes"
        self._refuse(431, f"{message} and {limits.max_headers} headers.")

    def _refuse(self, status: int, message: str) -> None:
        """Send an error, unless a response has begun, and close the connection once the client could read it."""
        self._connections.note(f"{status} {HTTPStatus(status).phrase}", self.address)
        self._is_refused = True
        self._enter("")
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the app gets no more of this request
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        error = {"type": "invalid_request", "message": message, "param": None, "request_id": None}
        body = json.dumps({"error": error}).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.flow.resume_reading()
        self.loop.call_later(self._limits.linger_seconds, self.transport.close)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
