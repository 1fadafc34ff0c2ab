"""PostgreSQL: the forms of its URLs, the settings of connections, and what its errors say."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL

DRIVER = "postgresql+psycopg"

INSTALL = 'Install the driver with: pip install ".[postgres]"'

_SAME = frozenset(
    {"postgres", "postgresql", DRIVER}
    | {f"postgresql+{driver}" for driver in ("psycopg2", "psycopg2cffi", "psycopg_async", "asyncpg", "pg8000")}
)
"""Schemes of URLs of PostgreSQL. The driver is a matter of the program that connects, not of the database."""

_CONNECTING = {
    "connect_timeout": 10,
    "application_name": "herding",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Options of libpq: a server that vanishes is noticed within a minute. The URL may set others."""

_READING = ("SET SESSION statement_timeout = '60s'",)
_PLANNING = ("SET SESSION plan_cache_mode = force_custom_plan", "SET SESSION jit = off")
"""A plan for any period or text would be that for a long one; making one takes less than a millisecond, but compiling
one takes more than it saves."""

_WRITING = ("SET SESSION lock_timeout = '10s'",)

_WATCHED = (
    "SET SESSION tcp_keepalives_idle = 30",
    "SET SESSION tcp_keepalives_interval = 10",
    "SET SESSION tcp_keepalives_count = 3",
)

UNREACHABLE = "unreachable"
OUT_OF_RANGE = "22003"

_ADVICE = {
    UNREACHABLE: "The database server cannot be reached. Start it, or correct DATABASE_URL.",
    "08": "The connection to the database server was lost. Try again.",
    "25006": "The database is read-only. Point DATABASE_URL to the primary server.",
    "28": "The database server refuses the user or the password. Correct DATABASE_URL.",
    "3D000": "The database does not exist. Create it, or correct DATABASE_URL.",
    "40": "Other transactions came in between. Try again.",
    "42501": "The user of DATABASE_URL lacks a right in the database. Grant it, or use the owner of the database.",
    "53100": "The disk of the database server is full. Free some space and try again.",
    "53300": "The database server has no free connection. Raise max_connections, or stop another program.",
    "53": "The database server lacks resources. Try again.",
    "55P03": "The database is locked by another program. Try again, or stop that program.",
    "57014": "The statement took too long, or was cancelled. Try again, or raise statement_timeout.",
    "57P": "The database server is stopping or starting. Try again.",
}
"""Advice on errors, by their SQLSTATE or the begin of it."""

_CONNECTION_ERRORS = {
    "too many clients": "53300",
    "remaining connection slots": "53300",
    "too many connections": "53300",
    "does not exist": "3D000",
    "authentication failed": "28",
    "no pg_hba.conf entry": "28",
    "no password supplied": "28",
    "starting up": "57P",
    "shutting down": "57P",
    "in recovery mode": "57P",
}
"""SQLSTATEs of errors while connecting, of which libpq gives only the text."""


def with_driver(url: URL) -> URL:
    """Return a URL in the form that names our driver; an unknown driver is left for SQLAlchemy to refuse."""
    return url.set(drivername=DRIVER) if url.drivername in _SAME else url


def connect_options(url: URL) -> dict[str, Any]:
    """Return the options of connections that the URL leaves open."""
    return {name: value for name, value in _CONNECTING.items() if name not in url.query}


def configure_reader(connection: Any, _record: object = None) -> None:
    """Set up a connection that cannot write."""
    _set(connection, (*_PLANNING, *(() if _has_own_timeout(connection) else _READING)))


def configure_writer(connection: Any, _record: object = None) -> None:
    """Set up a connection that writes."""
    _set(connection, _WRITING)


def configure_presence(connection: Any, _record: object = None) -> None:
    """Set up a connection whose end shows that this process has ended, also to a server that only sees silence."""
    _set(connection, _WATCHED)


def _has_own_timeout(connection: Any) -> bool:
    """Return whether the URL, the user or the database has a limit for the time of statements."""
    return bool(connection.execute("SHOW statement_timeout").fetchone() != ("0",))


def _set(connection: Any, statements: tuple[str, ...]) -> None:
    for statement in statements:
        connection.execute(statement)
    connection.commit()


def state_of(error: BaseException) -> str | None:
    """Return the SQLSTATE of a driver's error, UNREACHABLE without a connection; None for others."""
    if not type(error).__module__.startswith("psycopg"):
        return None
    if state := getattr(error, "sqlstate", None):
        return str(state)
    if type(error).__name__ not in ("OperationalError", "ConnectionTimeout"):
        return None
    text = str(error)
    return next((state for part, state in _CONNECTION_ERRORS.items() if part in text), UNREACHABLE)


def advice(state: str) -> str | None:
    """Return advice on an SQLSTATE; None for an unknown one."""
    return next((_ADVICE[known] for known in (state, state[:3], state[:2]) if known in _ADVICE), None)


def is_transient(state: str) -> bool:
    """Return whether the same transaction may succeed at once when repeated."""
    return state[:2] in ("08", "40") or state == "57P01"


def concerns_all(state: str) -> bool:
    """Return whether every other transaction would fail now too."""
    return state == UNREACHABLE or state[:2] in ("08", "25", "28", "3D", "53") or state[:3] == "57P"
