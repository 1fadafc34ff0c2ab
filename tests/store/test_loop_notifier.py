"""What other threads ring is heard on the loop, in order, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from herding.store import loop_notifier
from herding.store.loop_notifier import LoopNotifier


@pytest.fixture(params=["eventfd", "without"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
    return str(request.param)


class Heard(list[int]):
    """What was heard, and when it is all."""

    def __init__(self, count: int) -> None:
        self._count, self.all = count, asyncio.Event()

    def hear(self, number: int) -> None:
        self.append(number)
        if len(self) == self._count:
            self.all.set()


@pytest.mark.usefixtures("way")
async def test_every_ring_is_heard_once_in_order_on_the_loop() -> None:
    heard, threads = Heard(2_000), set[int]()

    def hear(number: int) -> None:
        heard.hear(number)
        threads.add(threading.get_ident())

    made = LoopNotifier(hear)
    with ThreadPoolExecutor(1) as other:
        ringing = asyncio.gather(*(asyncio.wrap_future(other.submit(made.ring, number)) for number in range(2_000)))
        await asyncio.wait_for(heard.all.wait(), 60)
        await ringing
    assert heard == list(range(2_000))
    assert threads == {threading.get_ident()}
    made.retire()
    await asyncio.sleep(0)


async def test_what_was_rung_before_the_end_is_heard_and_nothing_stays_open(way: str) -> None:
    heard = Heard(2)
    made = LoopNotifier(heard.hear)
    wire = made._wire
    assert (wire is not None) == (way == "eventfd")

    def last_words() -> None:
        made.ring(1)
        made.ring(2)
        made.retire()

    thread = threading.Thread(target=last_words)
    thread.start()
    thread.join()
    await asyncio.wait_for(heard.all.wait(), 60)
    await asyncio.sleep(0)
    assert heard == [1, 2]
    if wire is not None:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(wire)


@pytest.mark.usefixtures("way")
def test_a_loop_that_is_closed_hears_nothing_and_hurts_nobody() -> None:
    heard = list[int]()

    async def make() -> LoopNotifier[int]:
        return LoopNotifier(heard.append)

    made = asyncio.run(make())
    made.ring(1)
    made.retire()
    assert heard == []


def test_without_eventfd_there_is_no_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "eventfd", raising=False)
    assert loop_notifier._wire() is None
