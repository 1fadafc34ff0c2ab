"""Requests wait for a node, see their place, and no slot is lost whatever becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from random import Random

import pytest

from herding.errors import HerdingError, NoNodeError, OverloadedError, QueueFullError, QueueTimeoutError
from herding.routing.fair_queue import Place, Ticket
from herding.routing.scheduler import Scheduler


class Lease:
    """One slot of a pool."""

    def __init__(self, pool: Pool, node: str) -> None:
        self.pool, self.node, self.given_back = pool, node, False

    def release(self) -> None:
        assert not self.given_back, "given back twice"
        self.given_back = True
        self.pool.free[self.node] += 1

    def done(self) -> None:
        """As whoever used it does: the slot is free, and the next may have it."""
        self.release()
        self.pool.waiting.schedule()


Asked = Ticket[str, Lease]


class Pool:
    """Nodes with so many free slots each. A ticket's kind names the nodes that can take it."""

    def __init__(self, free: dict[str, int], **options: float) -> None:
        self.free, self.total = dict(free), sum(free.values())
        self.refusal: HerdingError | None = None
        self.chosen = 0
        bounds = {name: int(options.pop(name)) for name in ("max_waiting", "max_per_principal") if name in options}
        self.waiting: Scheduler[str, Lease] = Scheduler(
            self.choose, clock=time.monotonic, update_seconds=options.get("update_seconds", 0.001), **bounds
        )

    def choose(self, ticket: Asked) -> Lease | None:
        self.chosen += 1
        if self.refusal:
            raise self.refusal
        for node in str(ticket.kind):
            if self.free[node]:
                self.free[node] -= 1
                return Lease(self, node)
        return None

    def ticket(self, principal: str = "p", kind: str = "a", seconds: float | None = None) -> Asked:
        deadline = None if seconds is None else time.monotonic() + seconds
        return Ticket(principal, kind, "what is asked", deadline)

    async def lease(self, ticket: Asked) -> Lease:
        async with aclosing(self.waiting.wait(ticket)) as places:
            async for _ in places:
                pass
        assert ticket.lease
        return ticket.lease

    @asynccontextmanager
    async def queued(self, *tickets: Asked) -> AsyncIterator[list[asyncio.Task[Lease]]]:
        """Tasks that wait with tickets, in their order; those that still wait at the end are cancelled."""
        tasks = [asyncio.create_task(self.lease(ticket)) for ticket in tickets]
        await asyncio.sleep(0)
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(not ticket.waiting for ticket in tickets)


def taken(pool: Pool, kind: str = "a") -> Lease:
    lease = pool.waiting.try_acquire(pool.ticket(kind=kind))
    assert lease
    return lease


async def test_a_free_node_is_had_at_once() -> None:
    pool = Pool({"a": 2})
    ticket = pool.ticket()
    assert pool.waiting.try_acquire(ticket) is ticket.lease is not None
    assert [place async for place in pool.waiting.wait(pool.ticket())] == []
    assert (pool.free, pool.waiting.try_acquire(pool.ticket())) == ({"a": 0}, None)


async def test_places_are_told_as_they_change_until_the_lease_is_there() -> None:
    pool = Pool({"a": 1})
    lease, places = taken(pool), list[int]()
    async with pool.queued(pool.ticket("x"), pool.ticket("y")) as (first, second):
        mine = pool.ticket("z")
        async for place in pool.waiting.wait(mine):
            if place.position not in places:
                places.append(place.position)
                lease.done()
                lease = await {3: first, 2: second}.get(place.position, asyncio.sleep(0, lease))
        assert places == [3, 2, 1]
        assert mine.lease
        assert pool.free == {"a": 0}


async def test_the_first_place_is_told_at_once_and_the_same_is_not_told_again() -> None:
    pool = Pool({"a": 0})
    places = pool.waiting.wait(pool.ticket(seconds=0.5))
    assert await anext(places) == Place(1, None)
    with pytest.raises(QueueTimeoutError, match="this request was next"):
        await anext(places)


async def test_at_the_deadline_the_request_is_told_so_and_leaves_no_trace() -> None:
    pool = Pool({"a": 0})
    async with pool.queued(pool.ticket("x"), pool.ticket("y", seconds=0.01), pool.ticket("z")) as (first, mine, last):
        with pytest.raises(QueueTimeoutError, match=r"in time; 1 request was ahead of this one\. Try again later"):
            await mine
        assert len(pool.waiting) == 2
        pool.free["a"] = 2
        pool.waiting.schedule()
        await asyncio.gather(first, last)


async def test_a_deadline_that_has_passed_takes_nobodys_place() -> None:
    pool = Pool({"a": 0})
    with pytest.raises(QueueTimeoutError):
        await pool.lease(pool.ticket(seconds=-1))
    assert len(pool.waiting) == 0
    pool.free["a"] = 1
    assert await pool.lease(pool.ticket(seconds=-1)), "what is free is had nevertheless"


async def test_who_leaves_the_middle_of_the_queue_lets_the_others_move_up() -> None:
    pool = Pool({"a": 0})
    tickets = [pool.ticket(principal) for principal in "xyz"]
    async with pool.queued(*tickets) as (first, middle, last):
        middle.cancel()
        await asyncio.gather(middle, return_exceptions=True)
        assert len(pool.waiting) == 2
        pool.free["a"] = 2
        pool.waiting.schedule()
        await asyncio.gather(first, last)
        assert (tickets[1].lease, pool.free["a"]) == (None, 0)


async def test_stopping_a_request_ends_its_wait_without_a_lease() -> None:
    pool = Pool({"a": 0})
    ticket, places = pool.ticket(), 0
    async for _ in pool.waiting.wait(ticket):
        places += 1
        pool.waiting.withdraw(ticket)
        pool.waiting.withdraw(ticket)
    assert (places, ticket.lease, len(pool.waiting)) == (1, None, 0)


async def test_stopping_a_request_that_runs_takes_nothing_from_it() -> None:
    pool = Pool({"a": 1})
    ticket = pool.ticket()
    lease = await pool.lease(ticket)
    pool.waiting.withdraw(ticket)
    assert (ticket.lease, lease.given_back) == (lease, False)


async def test_a_lease_that_comes_as_the_request_is_cancelled_goes_to_the_next_at_once() -> None:
    pool = Pool({"a": 1}, update_seconds=600)
    lease = taken(pool)
    async with pool.queued(pool.ticket("x"), pool.ticket("y")) as (gone, after):
        lease.done()
        gone.cancel()
        assert (await asyncio.wait_for(after, 30)).node == "a"
        assert gone.cancelled()


async def test_a_lease_that_comes_while_the_place_is_shown_is_not_lost_either() -> None:
    pool = Pool({"a": 1})
    lease, ticket = taken(pool), pool.ticket("x")
    async with aclosing(pool.waiting.wait(ticket)) as places:
        await anext(places)
        lease.done()
        assert ticket.lease
    assert (pool.free, ticket.lease) == ({"a": 1}, None)


async def test_a_newcomer_does_not_overtake_those_of_its_class() -> None:
    pool = Pool({"a": 0})
    async with pool.queued(pool.ticket("x")):
        pool.free["a"] = 1
        assert pool.waiting.try_acquire(pool.ticket("y")) is None


async def test_a_class_that_is_blocked_holds_up_no_other() -> None:
    pool = Pool({"a": 0, "b": 1})
    blocked = [pool.ticket("x", "a") for _ in range(50)]
    async with pool.queued(*blocked):
        lease = taken(pool, "b")
        async with pool.queued(pool.ticket("x", "b"), pool.ticket("y", "ab")) as (one, two):
            pool.chosen = 0
            lease.done()
            (await one).done()
            assert await two
            assert pool.chosen < 20, "each pump asks once a class"
        assert all(ticket.lease is None for ticket in blocked)


async def test_classes_that_share_a_node_take_turns_between_principals() -> None:
    pool, served = Pool({"a": 0, "b": 0}), list[str]()
    tickets = [pool.ticket(*who) for who in [("x", "a")] * 5 + [("x", "ab")] * 5 + [("y", "ab")] * 5]
    async with pool.queued(*tickets) as tasks:
        pool.free["a"] = 1
        pool.waiting.schedule()
        for _ in range(10):
            (ticket,) = [one for one in tickets if one.lease and not one.lease.given_back]
            served.append(ticket.principal)
            await tasks[tickets.index(ticket)]
            assert ticket.lease
            ticket.lease.done()
    assert "".join(served) == "xy" * 5


async def test_one_ticket_waits_for_one_service_of_somebodys_thousand() -> None:
    pool = Pool({"a": 1})
    lease = taken(pool)
    many = [pool.ticket("hog") for _ in range(1_000)]
    async with pool.queued(*many, mine := pool.ticket("me")) as tasks:
        lease.done()
        (await tasks[0]).done()
        assert await tasks[-1] is mine.lease
        assert sum(ticket.lease is not None for ticket in many) == 1


async def test_the_queue_is_bounded() -> None:
    pool = Pool({"a": 0}, max_waiting=3, max_per_principal=2)
    async with pool.queued(pool.ticket("x"), pool.ticket("x")):
        with pytest.raises(QueueFullError):
            await pool.lease(pool.ticket("x"))
        async with pool.queued(pool.ticket("y")):
            with pytest.raises(OverloadedError):
                await pool.lease(pool.ticket("z"))


async def test_when_no_node_can_ever_take_them_all_who_wait_hear_why() -> None:
    pool = Pool({"a": 0}, update_seconds=600)
    async with pool.queued(*[pool.ticket(str(n % 3)) for n in range(20)]) as tasks:
        pool.refusal = NoNodeError("None is left.")
        pool.waiting.schedule()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        assert results == [pool.refusal] * 20
        with pytest.raises(NoNodeError, match="None is left"):
            await pool.lease(pool.ticket())


async def test_what_time_frees_is_noticed_without_being_told() -> None:
    pool = Pool({"a": 0})
    async with pool.queued(pool.ticket()) as (task,):
        pool.free["a"] = 1
        assert await task


async def any_request(pool: Pool, rng: Random, number: int) -> str:
    """A request of any class that runs for a moment, is stopped, or loses its patience: how it ended."""
    seconds = rng.choice([None, None, 0.01, 0.2])
    ticket = pool.ticket(f"p{number % 7}", rng.choice(["a", "b", "c", "ab", "abc"]), seconds)
    if rng.random() < 0.1:
        asyncio.get_running_loop().call_later(0.005, pool.waiting.withdraw, ticket)
    async with aclosing(pool.waiting.wait(ticket)) as places:
        async for _ in places:
            if rng.random() < 0.05:
                break
    if ticket.lease is None:
        return "left"
    try:
        assert not ticket.lease.given_back
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
    finally:
        ticket.lease.done()
    return "served"


@pytest.mark.parametrize("seed", range(4))
async def test_no_slot_is_lost_whatever_becomes_of_the_requests(seed: int) -> None:
    """Thousands of requests with short deadlines that are cancelled, stopped, refused or served in any order."""
    rng = Random(seed)
    pool = Pool({"a": 3, "b": 2, "c": 1}, update_seconds=0.002, max_waiting=800, max_per_principal=300)
    most = dict(pool.free)
    outcomes: Counter[str] = Counter()

    async def noted(number: int) -> None:
        try:
            outcomes[await any_request(pool, rng, number)] += 1
        except (QueueTimeoutError, QueueFullError, OverloadedError) as error:
            outcomes[error.type] += 1
        except asyncio.CancelledError:
            outcomes["cancelled"] += 1

    tasks = []
    for number in range(3_000):
        tasks.append(asyncio.create_task(noted(number)))
        if rng.random() < 0.3:
            rng.choice(tasks[-200:]).cancel()
        if rng.random() < 0.02:
            await asyncio.sleep(0)
        assert all(0 <= pool.free[node] <= most[node] for node in most)
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
    assert (pool.free, len(pool.waiting)) == (most, 0)
    assert {"served", "left", "cancelled"} <= outcomes.keys()
    assert outcomes.keys() & {"crowded", "queue_full"}
    assert outcomes["served"] > 300
