"""The tests of the services run on each kind of database."""

from __future__ import annotations

import pytest

from tests.support.database import on_each


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what makes a Herding on each kind of database."""
    if {"place", "tmp_path"} & set(metafunc.fixturenames):
        on_each(metafunc)


@pytest.fixture(autouse=True)
def on_database(database: str) -> None:
    """Let every Herding of a test use the database of the test."""
