"""Reads and commits take turns: neither can starve the other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from herding.store.turns import NoTurns, Turns

QUICK = 0.05
"""Seconds within which a thread that may go on has gone on."""


@pytest.fixture
def turns() -> Turns:
    return Turns()


class Holder:
    """A thread that enters one side, and stays until it is told to leave."""

    def __init__(self, side) -> None:
        self._side = side
        self.entered = threading.Event()
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._hold)
        self._thread.start()
        self.entered.wait(QUICK)

    def _hold(self) -> None:
        with self._side():
            self.entered.set()
            self._leave.wait(10)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join()


def test_reads_share_and_a_commit_waits_for_them(turns: Turns) -> None:
    first, second = Holder(turns.reading), Holder(turns.reading)
    assert second.entered.is_set()
    commit = Holder(turns.committing)
    first.leave()
    assert not commit.entered.wait(QUICK)
    second.leave()
    assert commit.entered.wait(1)
    commit.leave()


def test_a_new_read_lets_a_waiting_commit_go_first(turns: Turns) -> None:
    old = Holder(turns.reading)
    commit = Holder(turns.committing)
    new = Holder(turns.reading)
    assert not new.entered.is_set()
    old.leave()
    assert commit.entered.wait(1)
    assert not new.entered.wait(QUICK)
    commit.leave()
    assert new.entered.wait(1)
    new.leave()


def test_a_waiting_read_goes_before_the_next_commit(turns: Turns) -> None:
    commit = Holder(turns.committing)
    read = Holder(turns.reading)
    commit.leave()
    following = Holder(turns.committing)
    assert read.entered.wait(1)
    assert not following.entered.is_set()
    read.leave()
    assert following.entered.wait(1)
    following.leave()


def test_a_read_or_commit_that_fails_gives_its_turn_back(turns: Turns) -> None:
    for side in (turns.committing, turns.reading, turns.committing):
        with pytest.raises(RuntimeError), side():
            raise RuntimeError


def test_a_commit_is_always_alone(turns: Turns) -> None:
    inside = {"reads": 0, "commits": 0}
    end = time.monotonic() + 0.3

    def read() -> int:
        count = 0
        while time.monotonic() < end:
            with turns.reading():
                inside["reads"] += 1
                assert not inside["commits"]
                time.sleep(0.001)
                assert not inside["commits"]
                inside["reads"] -= 1
                count += 1
        return count

    def commit() -> int:
        count = 0
        while time.monotonic() < end:
            with turns.committing():
                inside["commits"] += 1
                assert not inside["reads"]
                time.sleep(0.001)
                assert not inside["reads"]
                inside["commits"] -= 1
                count += 1
        return count

    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(read) for _ in range(3)] + [threads.submit(commit)]
        assert min(job.result() for job in jobs) > 5


def test_no_turns_hold_up_nobody() -> None:
    turns = NoTurns()
    with turns.committing(), turns.reading():
        pass
