"""Reads and commits take turns: neither can starve the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from herding.store.rw_lock import NoLock, ReadWriteLock

QUICK = 0.05
"""Seconds after which a thread that must not go on has not gone on."""

LONG = 60.0


@pytest.fixture
def turns() -> ReadWriteLock:
    return ReadWriteLock()


class Holder:
    """A thread that enters one side, and stays until it is told to leave."""

    def __init__(self, side) -> None:
        self._side = side
        self._entered = threading.Event()
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()

    def _hold(self) -> None:
        with self._side():
            self._entered.set()
            self._leave.wait(LONG)

    def enters(self) -> bool:
        return self._entered.wait(LONG)

    def waits(self) -> bool:
        return not self._entered.wait(QUICK)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def reading(turns: ReadWriteLock) -> Holder:
    """A thread that reads."""
    made = Holder(turns.reading)
    assert made.enters()
    return made


def waiting_commit(turns: ReadWriteLock) -> Holder:
    """A thread that asked to commit, and waits for who reads."""
    made = Holder(turns.committing)
    until(lambda: turns._writer)
    assert made.waits()
    return made


def waiting_read(turns: ReadWriteLock) -> Holder:
    """A thread that asked to read, and waits for who commits."""
    made = Holder(turns.reading)
    until(lambda: turns._blocked)
    assert made.waits()
    return made


def test_reads_share_and_a_commit_waits_for_them(turns: ReadWriteLock) -> None:
    first, second = reading(turns), reading(turns)
    commit = waiting_commit(turns)
    first.leave()
    assert commit.waits()
    second.leave()
    assert commit.enters()
    commit.leave()


def test_a_new_read_lets_a_waiting_commit_go_first(turns: ReadWriteLock) -> None:
    old = reading(turns)
    commit = waiting_commit(turns)
    new = waiting_read(turns)
    old.leave()
    assert commit.enters()
    assert new.waits()
    commit.leave()
    assert new.enters()
    new.leave()


def test_a_waiting_read_goes_before_the_next_commit(turns: ReadWriteLock) -> None:
    commit = Holder(turns.committing)
    assert commit.enters()
    read = waiting_read(turns)
    commit.leave()
    following = waiting_commit(turns)
    assert read.enters()
    assert following.waits()
    read.leave()
    assert following.enters()
    following.leave()


def test_a_read_or_commit_that_fails_gives_its_turn_back(turns: ReadWriteLock) -> None:
    for side in (turns.committing, turns.reading, turns.committing):
        with pytest.raises(RuntimeError), side():
            raise RuntimeError


def test_a_commit_is_always_alone_and_nobody_starves(turns: ReadWriteLock) -> None:
    inside = {"reads": 0, "commits": 0}
    done = [0, 0, 0, 0]
    end = time.monotonic() + LONG

    def goes_on() -> bool:
        return min(done) < 50 and time.monotonic() < end

    def read(number: int) -> None:
        while goes_on():
            with turns.reading():
                inside["reads"] += 1
                assert not inside["commits"]
                time.sleep(0.001)
                assert not inside["commits"]
                inside["reads"] -= 1
                done[number] += 1

    def commit(number: int) -> None:
        while goes_on():
            with turns.committing():
                inside["commits"] += 1
                assert not inside["reads"]
                time.sleep(0.001)
                assert not inside["reads"]
                inside["commits"] -= 1
                done[number] += 1

    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(read, number) for number in range(3)] + [threads.submit(commit, 3)]
        for job in jobs:
            job.result()
    assert min(done) >= 50


def test_no_turns_hold_up_nobody() -> None:
    turns = NoLock()
    with turns.committing(), turns.reading():
        pass
