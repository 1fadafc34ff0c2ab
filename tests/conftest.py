"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import database as database_programs
from tests.support import database as databases
from tests.support import postgres
from tests.support.fakenode import FakeNode, fakenode
from tests.support.herding import Place, herding
from tests.support.nodes import echo
from tests.support.once import made_once

settings.register_profile(
    "herding",
    deadline=None,
    max_examples=100,
    derandomize=True,  # the same examples in every run; `--hypothesis-profile=explore` tries others
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("explore", parent=settings.get_profile("herding"), derandomize=False)
settings.load_profile("herding")

for name in list(os.environ):
    if name == "DATABASE_URL" or (name.startswith("HERDING_") and not name.startswith("HERDING_TEST")):
        del os.environ[name]  # the tests have settings of their own


LONGEST = ("e2e", "engine", "clients", "bots", "herd", "test_cli.py", "test_package.py", "test_role_matrix.py")
"""Folders and files whose tests take longest: a worker that comes to one last would keep the others waiting."""

MEMORY = Path("/dev/shm")
ROOM = 2 << 30
"""Bytes that the files of the tests need at most."""


def pytest_configure() -> None:
    """Keep the tests' files in memory where there is room: a database waits for its disk at every commit.

    No garbage is looked for while tests are collected, since what is imported stays.
    """
    gc.disable()
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest.

    Tests on PostgreSQL are left out where there is none, and fail in CI.
    """
    if database_programs.find() is None and not os.environ.get("CI"):
        left_out = [item for item in items if item.get_closest_marker("postgres")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("postgres")]
    items.sort(key=lambda item: next((n for n, room in enumerate(LONGEST) if room in item.path.parts), len(LONGEST)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in one line that tests were left out."""
    if database_programs.find() is None and "not postgres" not in config.option.markexpr:
        terminalreporter.write_line(database_programs.MISSING, red=True, bold=True)


def pytest_collection_finish() -> None:
    """Take what was imported out of the garbage collector's rounds: it is a million objects, and stays."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)  # as the app does
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def shared_parts() -> Iterator[None]:
    """What all apps of this process may share is made once."""
    with made_once():
        yield


@pytest.fixture(scope="session")
def faulty_server() -> Iterator[FakeNode]:
    """One fake node for the whole run."""
    with fakenode() as node:
        yield node


@pytest.fixture
def faulty(faulty_server: FakeNode) -> FakeNode:
    """The fake node, as if it had just started."""
    faulty_server.seen.clear()
    faulty_server.models_fault, faulty_server.fault = "ok", None
    faulty_server.released.clear()
    return faulty_server


@pytest.fixture(scope="session")
def postgres_or_none() -> Iterator[postgres.Server | None]:
    """One PostgreSQL for all tests of this process."""
    with postgres.server() as server:
        yield server


@pytest.fixture
def postgres_server(postgres_or_none: postgres.Server | None) -> postgres.Server:
    """A running PostgreSQL."""
    if postgres_or_none is None:
        pytest.fail(database_programs.MISSING)
    return postgres_or_none


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """An empty database of the newest schema on PostgreSQL."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of database that apps of this test use: SQLite, unless the test is parametrised with others."""
    kind: str = getattr(request, "param", "sqlite")
    server = request.getfixturevalue("postgres_server") if kind == "postgresql" else None
    with databases.on(server):
        yield kind


@pytest.fixture
async def place(tmp_path: Path, database: str) -> AsyncIterator[Place]:
    """A Herding with one echo node and the prompt `say`."""
    async with herding(tmp_path, echo()) as made:
        yield made
