"""Every fault of a node: what its caller gets, what becomes of the node, what is counted; a healthy node hides it.

Times pass by a clock that can be moved on, so that ejections end when a test wants it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from herding.api.http.errors import problem_of
from herding.errors import (
    BadResponseError,
    ConnectError,
    ContextLengthError,
    DeadlineError,
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    NoModelError,
    NoNodeError,
    QueueTimeoutError,
    StatusError,
    StreamInterruptedError,
)
from herding.nodes.base import Node
from herding.nodes.openai import OpenAINode
from herding.values import Call, Chunk, Outcome, Principal, Request
from tests.e2e.tls import page, site
from tests.support.fakenode import WORDS, FakeNode, fakenode
from tests.support.herding import ADMIN, Clock, Place, herding
from tests.support.nodes import PATIENT, Late, PlainConfig, openai, patience
from tests.support.people import principal
from tests.support.ports import free_port
from tests.support.until import until

ROUND = 30
IN_A_ROW = 3
SAID = "".join(WORDS)
KEY = "sk-the-key-of-the-operator"
SAY_EITHER = """
    name: Say
    target_models: [unknown, ok]
    variables:
      text: {type: text, default: hello}
    messages:
      - {role: user, content: "{{text}}"}
    """


@dataclass(frozen=True)
class Case:
    """A fault. `status` is the HTTP status for its caller, `health` the node's after as many `calls` as it gets.

    `began`: the answer had begun. `blamed`: the fault speaks against the model as well.
    """

    fault: str
    error: type[HerdingError]
    status: int
    health: str = "ejected"
    calls: int = IN_A_ROW
    began: bool = False
    blamed: bool = True


CASES = [
    Case("hang", DeadlineError, 504),
    Case("slow-ttfb:3", DeadlineError, 504),
    Case("drip:0.05", DeadlineError, 504),
    Case("hang-after:3", DeadlineError, 504, began=True),
    Case("cut-after:0", BadResponseError, 502),
    Case("cut-after:3", StreamInterruptedError, 502, began=True),
    Case("status:500", StatusError, 502),
    Case("status:503", StatusError, 503),
    Case("status:504", StatusError, 504),
    Case("status:503;ra=7", NodeBusyError, 503, "resting", 1, blamed=False),
    Case("status:429;ra=7", NodeBusyError, 429, "resting", 1, blamed=False),
    Case("status:429;ra=3600", NodeBusyError, 429, "resting", 1, blamed=False),
    Case("status:401", MisconfiguredError, 502, "misconfigured", 1, blamed=False),
    Case("html", BadResponseError, 502),
    Case("empty", BadResponseError, 502),
    Case("only-done", BadResponseError, 502),
    Case("error-in-200", BadResponseError, 502),
    Case("redirect", BadResponseError, 502),
    Case("gzip", BadResponseError, 502),
    Case("badjson", BadResponseError, 502, began=True),
    Case("bad-utf8", BadResponseError, 502, began=True),
    Case("error-in-stream", BadResponseError, 502, began=True),
]
BEFORE = [case for case in CASES if not case.began]
AFTER = [case for case in CASES if case.began]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[FakeNode, FakeNode]]:
    """One that shows faults, and one that is asked to beside it."""
    with fakenode() as ill, fakenode() as well:
        yield ill, well


@pytest.fixture
def ill(servers: tuple[FakeNode, FakeNode]) -> FakeNode:
    """A server whose fault is the model's name, until it has another."""
    return anew(servers[0])


@pytest.fixture
def well(servers: tuple[FakeNode, FakeNode]) -> FakeNode:
    """A server that answers whatever the model's name is."""
    return anew(servers[1], fault="ok")


def anew(server: FakeNode, fault: str | None = None) -> FakeNode:
    server.seen.clear()
    server.models_fault, server.fault = "ok", fault
    return server


def node(server: FakeNode | str, model: str, name: str, **more: Any) -> OpenAINode:
    url = server if isinstance(server, str) else server.url
    return openai(url, model, name=name, **{"deadlines": PATIENT if name == "well" else patience(model), **more})


_numbers = count()


async def ask(place: Place, model: str, *, who: Principal | None = None) -> Outcome | HerdingError:
    """The answer, or the error; each time of somebody else and to another text, unless `who` asks."""
    number = next(_numbers)
    request = Request("say", {"text": f"text {number}"}, model=model)
    try:
        return await place.orchestrator.pipeline.run(request, who or principal(f"user:{number}", "admin"))
    except HerdingError as error:
        return error


def health(place: Place, name: str = "ill") -> str:
    return place.herd.health.status(name).state


async def counted(place: Place, name: str = "ill") -> tuple[int, int]:
    """The calls of a node and the failed ones among them, as the statistics have them."""
    stats = (await place.store.node_stats(since=0)).get(name)
    return (stats.requests, stats.failures) if stats else (0, 0)


def blamed(place: Place, model: str) -> int:
    """How many failures are held against a model."""
    count = place.orchestrator._learning.record.window("say").counts.get(model)
    return count.failed if count else 0


# A node alone


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
async def test_alone_a_fault_reaches_each_caller_and_the_node_is_on_trial_at_worst(
    tmp_path: Path, ill: FakeNode, case: Case
) -> None:
    alone = "trial" if case.health == "ejected" else case.health
    async with herding(tmp_path, node(ill, case.fault, "ill"), tick=Clock()) as place:
        for _ in range(case.calls):
            error = await ask(place, case.fault)
            assert isinstance(error, case.error), error
            assert problem_of(error).status == case.status
        assert health(place) == alone
        rows = await place.rows()
        assert {row.status for row in rows} == {"partial" if case.began else "failed"}
        assert {row.answer for row in rows} <= {"", "One two three", SAID}
        assert [len(row.attempts) for row in rows] == [1] * case.calls
        assert await counted(place) == (case.calls, case.calls)
        assert blamed(place, case.fault) == (case.calls if case.blamed else 0)
        again = await ask(place, case.fault)
        if alone == "trial":
            assert isinstance(again, case.error), "there is no other, so it is asked"
            assert len(ill.calls()) == case.calls + 1
        else:
            assert isinstance(again, NoNodeError)
            assert (problem_of(again).status, len(ill.calls())) == (503, case.calls)
            assert int(problem_of(again).headers["Retry-After"]) >= 1


REFUSALS = {
    "status:402": 402,
    "status:403": 403,
    "status:404": 404,
    "unknown": 404,
    "status:408": 408,
    "status:409": 409,
    "status:413": 413,
    "status:415": 415,
    "status:418": 418,
    "status:422": 422,
    "status:400": 400,
}


@pytest.mark.parametrize("fault", REFUSALS)
async def test_a_refusal_reaches_its_caller_and_nobody_else(tmp_path: Path, ill: FakeNode, fault: str) -> None:
    mallory, alice = principal("mallory", "admin"), principal("alice", "admin")
    async with herding(tmp_path, openai(ill.url, fault, "ok", name="ill")) as place:
        for _ in range(2 * IN_A_ROW):
            error = await ask(place, fault, who=mallory)
            assert isinstance(error, StatusError)
            assert problem_of(error).status == REFUSALS[fault]
            assert isinstance(await ask(place, "ok", who=alice), Outcome)
        look = place.herd.health.status("ill")
        assert (look.state, look.failures_in_a_row) == ("healthy", 0)


FAILURES = ["status:500", "status:503", "error-in-200", "error-in-stream", "cut-after:3", "html", "empty", "badjson"]


@pytest.mark.parametrize("fault", FAILURES)
async def test_what_fails_for_one_caller_takes_the_node_from_nobody_else(
    tmp_path: Path, ill: FakeNode, well: FakeNode, fault: str
) -> None:
    mallory, alice = principal("mallory", "admin"), principal("alice", "admin")
    nodes = (openai(ill.url, fault, "ok", name="ill"), node(well, "other", "well"))
    async with herding(tmp_path, *nodes) as place:
        for _ in range(3 * IN_A_ROW):
            assert isinstance(await ask(place, fault, who=mallory), HerdingError)
            outcome = await ask(place, "ok", who=alice)
            assert isinstance(outcome, Outcome)
            assert (outcome.node, len(outcome.attempts)) == ("ill", 1)
        for _ in range(3 * IN_A_ROW):
            assert isinstance(await ask(place, fault, who=mallory), HerdingError)
        assert health(place) == "healthy"
        assert isinstance(await ask(place, "ok", who=alice), Outcome)


async def test_a_refusal_of_embeddings_leaves_chats_alone(tmp_path: Path, ill: FakeNode) -> None:
    both = openai(ill.url, "ok", name="ill", embedding_models=["status:403"])
    async with herding(tmp_path, both) as place:
        for _ in range(2 * IN_A_ROW):
            with pytest.raises(StatusError) as caught:
                await place.orchestrator.pipeline.embed("status:403", ["a text"], ADMIN)
            assert problem_of(caught.value).status == 403
            assert isinstance(await ask(place, "ok"), Outcome)


async def test_the_only_node_that_somebody_may_use_is_never_out_for_them(
    tmp_path: Path, ill: FakeNode, well: FakeNode
) -> None:
    clock, bob = Clock(), replace(principal("bob", "admin"), nodes=("ill",))
    async with herding(tmp_path, node(ill, "ok", "ill"), node(well, "ok", "well"), tick=clock) as place:
        ill.fault = "status:500"
        while health(place) == "healthy":
            await ask(place, "ok")
        assert health(place) == "ejected"
        ill.fault = None
        outcome = await ask(place, "ok", who=bob)
        assert isinstance(outcome, Outcome), outcome
        assert (outcome.node, health(place)) == ("ill", "healthy")


async def test_a_request_that_is_refused_is_sent_to_no_equal_node(
    tmp_path: Path, ill: FakeNode, well: FakeNode
) -> None:
    nodes = [node(ill, "status:422", name) for name in ("a", "b", "c")]
    async with herding(tmp_path, *nodes) as place:
        assert isinstance(await ask(place, "status:422"), StatusError)
        assert len(ill.calls()) == 1


@pytest.mark.parametrize("url", ["closed port", "bad host", "self-signed", "no tls"])
async def test_a_node_that_cannot_be_reached(tmp_path: Path, ill: FakeNode, url: str) -> None:
    with site("127.0.0.1", page("hello")) as port:
        urls = {
            "closed port": f"http://127.0.0.1:{free_port()}/v1",
            "bad host": "http://no-such-host.invalid/v1",
            "self-signed": f"https://127.0.0.1:{port}/v1",
            "no tls": ill.url.replace("http:", "https:"),
        }
        async with herding(tmp_path, node(urls[url], "ok", "ill", deadlines={"connect": 5}), tick=Clock()) as place:
            for _ in range(IN_A_ROW):
                error = await ask(place, "ok")
                assert isinstance(error, ConnectError), error
                assert problem_of(error).status == 502
            assert health(place) == "trial"
            assert await counted(place) == (IN_A_ROW, IN_A_ROW)
            assert blamed(place, "ok") == 0


async def test_a_node_rests_as_long_as_it_says_and_then_is_asked_again(tmp_path: Path, ill: FakeNode) -> None:
    clock = Clock()
    async with herding(tmp_path, node(ill, "ok", "ill"), tick=clock) as place:
        ill.fault = "status:429;ra=120"
        busy = await ask(place, "ok")
        assert isinstance(busy, NodeBusyError)
        assert problem_of(busy).headers == {"Retry-After": "120"}
        ill.fault = None
        refused = await ask(place, "ok")
        assert isinstance(refused, NoNodeError)
        assert 100 < int(problem_of(refused).headers["Retry-After"]) <= 120
        clock.ahead = 121
        assert isinstance(await ask(place, "ok"), Outcome)
        assert (len(ill.calls()), health(place)) == (2, "healthy")


async def test_refused_credentials_are_told_without_the_key(tmp_path: Path, ill: FakeNode) -> None:
    keyed = node(ill, "status:401", "ill", keys={"THE_KEY": KEY}, api_key_env="THE_KEY")
    clock = Clock()
    async with herding(tmp_path, keyed, tick=clock) as place:
        for seconds in (0, 1, 10_000, 20_000):
            clock.ahead = seconds
            error = await ask(place, "status:401")
            assert isinstance(error, HerdingError)
            assert "operator" in error.message
            assert KEY not in str(error)
        assert len(ill.calls()) == 3
        assert [event.kind for event in place.herd.events.latest()] == ["misconfigured"] * 3
        assert not any(KEY in str(row) for row in await place.rows())


@pytest.mark.parametrize("fault", ["context-length", "status:400", "status:422", "bad-schema"])
async def test_a_request_that_is_refused_is_no_fault_of_the_node(tmp_path: Path, ill: FakeNode, fault: str) -> None:
    async with herding(tmp_path, node(ill, fault, "ill")) as place:
        for _ in range(2 * IN_A_ROW):
            assert isinstance(await ask(place, fault), HerdingError)
        look = place.herd.health.status("ill")
        assert (look.state, look.failures_in_a_row) == ("healthy", 0)
        assert len(ill.calls()) == 2 * IN_A_ROW


@pytest.mark.parametrize("usage", ["usage:-5", "usage:9999999999", "no-usage"])
async def test_counts_that_cannot_be_are_counted_here(tmp_path: Path, ill: FakeNode, usage: str) -> None:
    async with herding(tmp_path, node(ill, usage, "ill")) as place:
        outcome = await ask(place, usage)
        assert isinstance(outcome, Outcome)
        assert (outcome.answer, outcome.usage.source) == (SAID, "counted")
        assert 0 < outcome.usage.output_tokens < 100
        assert health(place) == "healthy"


async def test_a_slow_beginning_within_its_deadline_is_no_fault(tmp_path: Path, ill: FakeNode) -> None:
    async with herding(tmp_path, node(ill, "slow-ttfb:0.8", "ill", deadlines=PATIENT)) as place:
        outcome = await ask(place, "slow-ttfb:0.8")
        assert isinstance(outcome, Outcome)
        assert outcome.answer == SAID


# Beside a healthy node


@pytest.mark.slow
@pytest.mark.parametrize("case", BEFORE, ids=lambda case: case.fault)
async def test_beside_a_healthy_node_nobody_sees_the_fault(
    tmp_path: Path, ill: FakeNode, well: FakeNode, case: Case
) -> None:
    nodes = (node(ill, case.fault, "ill"), node(well, case.fault, "well"))
    async with herding(tmp_path, *nodes, tick=Clock()) as place:
        for _ in range(ROUND):
            outcome = await ask(place, case.fault)
            assert isinstance(outcome, Outcome), outcome
            assert (outcome.status, outcome.answer, outcome.node) == ("succeeded", SAID, "well")
        assert (health(place), health(place, "well")) == (case.health, "healthy")
        assert (len(ill.calls()), len(well.calls())) == (case.calls, ROUND)
        assert await counted(place) == (case.calls, case.calls)
        assert await counted(place, "well") == (ROUND, 0)
        tried = [[attempt.node for attempt in row.attempts] for row in reversed(await place.rows())]
        assert tried == [["ill", "well"]] * case.calls + [["well"]] * (ROUND - case.calls)


@pytest.mark.slow
@pytest.mark.parametrize("case", AFTER, ids=lambda case: case.fault)
async def test_an_answer_that_began_is_kept_as_it_is_and_nobody_else_goes_on(
    tmp_path: Path, ill: FakeNode, well: FakeNode, case: Case
) -> None:
    nodes = (node(ill, case.fault, "ill"), node(well, case.fault, "well"))
    async with herding(tmp_path, *nodes, tick=Clock()) as place:
        found = [await ask(place, case.fault) for _ in range(ROUND)]
        assert [type(one) for one in found] == [case.error] * IN_A_ROW + [Outcome] * (ROUND - IN_A_ROW)
        rows = [row for row in await place.rows() if row.status == "partial"]
        assert len(rows) == IN_A_ROW
        assert all([attempt.node for attempt in row.attempts] == ["ill"] for row in rows)
        assert {row.answer for row in rows} <= {"One two three", SAID}
        assert (len(ill.calls()), health(place)) == (IN_A_ROW, "ejected")


async def test_a_model_that_a_node_has_not_any_more_costs_its_others_nothing(tmp_path: Path, ill: FakeNode) -> None:
    gone, there = "unknown", "ok"
    async with herding(tmp_path, openai(ill.url, gone, there, name="ill"), tick=Clock()) as place:
        place.write("say", SAY_EITHER)
        for _ in range(ROUND):
            outcome = await place.orchestrator.pipeline.run(Request("say"), ADMIN)
            assert (outcome.model, outcome.answer) == (there, SAID)
            assert [attempt.model for attempt in outcome.attempts][-2:] in ([gone, there], [there])
        assert blamed(place, gone) == len(ill.calls(gone)) > 0
        assert blamed(place, there) == 0
        for _ in range(2 * IN_A_ROW):
            error = await ask(place, gone)
            assert isinstance(error, NoModelError)
            assert "does not exist" in error.message
        assert health(place) == "healthy"


async def test_a_node_comes_back_by_a_model_that_it_has(tmp_path: Path, ill: FakeNode) -> None:
    clock = Clock()
    async with herding(tmp_path, openai(ill.url, "unknown", "ok", name="ill"), tick=clock) as place:
        ill.fault = "status:500"
        for _ in range(IN_A_ROW):
            await ask(place, "ok")
        assert health(place) == "trial"
        ill.fault, clock.ahead = None, 60
        await place.orchestrator._prober.probe("ill")
        assert health(place) == "healthy"


async def test_an_input_that_is_too_long_for_one_is_not_tried_on_another(
    tmp_path: Path, ill: FakeNode, well: FakeNode
) -> None:
    nodes = (node(ill, "context-length", "ill"), node(well, "context-length", "well"))
    async with herding(tmp_path, *nodes) as place:
        for _ in range(ROUND):
            error = await ask(place, "context-length")
            assert isinstance(error, ContextLengthError)
            assert problem_of(error).status == 422
            assert "4096" in error.message
            assert "5000" in error.message
        assert (len(ill.calls()), len(well.calls())) == (ROUND, 0)
        assert health(place) == "healthy"


async def test_a_node_that_fails_now_and_then_is_never_seen(tmp_path: Path, ill: FakeNode, well: FakeNode) -> None:
    ill.fault = "flaky:2"
    async with herding(tmp_path, node(ill, "ok", "ill"), node(well, "ok", "well")) as place:
        outcomes = [await ask(place, "ok") for _ in range(ROUND)]
        assert {type(outcome) for outcome in outcomes} == {Outcome}


async def test_who_waits_for_a_node_that_hangs_holds_up_nobody(tmp_path: Path, ill: FakeNode, well: FakeNode) -> None:
    nodes = (node(ill, "hang", "ill", deadlines=PATIENT), node(well, "ok", "well"))
    async with herding(tmp_path, *nodes) as place:
        hanging = [asyncio.create_task(ask(place, "hang")) for _ in range(20)]
        await until(lambda: len(ill.calls()) >= 20)
        outcomes = [await ask(place, "ok") for _ in range(ROUND)]
        assert {type(outcome) for outcome in outcomes} == {Outcome}
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


# Out and back


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang", "status:500", "html", "cut-after:0"])
async def test_a_node_that_is_well_again_comes_back_without_traffic(
    tmp_path: Path, ill: FakeNode, well: FakeNode, fault: str
) -> None:
    clock = Clock()
    nodes = (node(ill, "ok", "ill", deadlines=patience(fault)), node(well, "ok", "well"))
    async with herding(tmp_path, *nodes, tick=clock) as place, probing(place):
        ill.fault = fault
        for _ in range(ROUND):
            assert isinstance(await ask(place, "ok"), Outcome)
        assert (health(place), len(ill.calls())) == ("ejected", IN_A_ROW)
        clock.ahead += 8
        await until(lambda: ejections(place) == 2)
        assert (health(place), len(ill.calls())) == ("ejected", IN_A_ROW + 1)
        ill.fault = None
        nodes[0].deadlines = PATIENT
        clock.ahead += 13
        await until(lambda: health(place) == "healthy")
        assert len(ill.calls()) == IN_A_ROW + 2
        again = [await ask(place, "ok") for _ in range(ROUND)]
        assert "ill" in {outcome.node for outcome in again if isinstance(outcome, Outcome)}
        assert len(await place.rows()) == 2 * ROUND


async def test_only_an_answer_brings_a_node_back_not_that_it_is_there(tmp_path: Path, ill: FakeNode) -> None:
    clock = Clock()
    broken = node(ill, "status:500", "ill")
    async with herding(tmp_path, broken, tick=clock) as place:
        for _ in range(IN_A_ROW):
            await ask(place, "status:500")
        clock.ahead += 6
        for _ in range(3):
            assert (await broken.status()).state == "ready"
            assert health(place) == "trial"
        assert isinstance(await ask(place, "status:500"), StatusError)
        assert (health(place), ejections(place)) == ("trial", 2)


async def test_while_all_are_out_one_call_a_node_is_a_trial_and_the_others_wait_their_turn(
    tmp_path: Path, ill: FakeNode, well: FakeNode
) -> None:
    clock = Clock()
    async with herding(tmp_path, node(ill, "ok", "ill"), node(well, "ok", "well"), tick=clock) as place:
        ill.fault = well.fault = "status:500"
        while place.herd.health.status("ill").ejections + place.herd.health.status("well").ejections < 2:
            await ask(place, "ok")
        assert (health(place), health(place, "well")) == ("trial", "trial")
        errors = await asyncio.gather(*(ask(place, "ok") for _ in range(ROUND)))
        assert {type(error) for error in errors} <= {StatusError, NoNodeError}
        ill.fault = well.fault = None
        outcomes = await asyncio.gather(*(ask(place, "ok") for _ in range(ROUND)))
        assert {type(outcome) for outcome in outcomes} == {Outcome}
        assert (health(place), health(place, "well")) == ("healthy", "healthy")


# Nodes that die and are started again


class Mortal(Node):
    """Its engine dies under all its calls at once, which a look shows; the next engine answers."""

    def __init__(self, name: str, *, concurrency: int) -> None:
        super().__init__(PlainConfig(name=name, concurrency=concurrency), models=("echo",))
        self.running, self._died = 0, asyncio.Event()
        self._away = self._reborn = False

    @property
    def serves(self) -> tuple[str, ...]:
        return () if self._away else self.models

    @property
    def expects(self) -> tuple[str, ...]:
        return self.models if self._away else ()

    def die(self) -> None:
        self._died.set()

    def come_back(self) -> None:
        self._away, self._reborn = False, True
        self.came_back()

    async def look_again(self) -> None:
        self._away = self._died.is_set() and not self._reborn

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        if not self._reborn:
            self.running += 1
            await self._died.wait()
            raise StreamInterruptedError("Its engine died.", node=self.name)
        yield Chunk(text="alive", finish_reason="stop")


async def test_who_waits_for_an_engine_that_dies_waits_for_the_next_one(tmp_path: Path) -> None:
    mortal = Mortal("mortal", concurrency=IN_A_ROW)
    async with herding(tmp_path, mortal) as place:
        asked = [asyncio.create_task(ask(place, "echo")) for _ in range(2 * IN_A_ROW)]
        queue = place.orchestrator._queue
        await until(lambda: (mortal.running, len(queue)) == (IN_A_ROW, IN_A_ROW))
        mortal.die()
        await until(lambda: len(queue) == 2 * IN_A_ROW)
        assert health(place, "mortal") == "ejected"
        mortal.come_back()
        outcomes = await asyncio.gather(*asked)
        assert [outcome.answer for outcome in outcomes if isinstance(outcome, Outcome)] == ["alive"] * 2 * IN_A_ROW
        assert health(place, "mortal") == "healthy"


async def test_who_waits_for_an_engine_that_does_not_come_is_told_to_try_later(tmp_path: Path) -> None:
    async with herding(tmp_path, Late("late", ["fine"]), wait_seconds=0.1) as place:
        error = await ask(place, "echo")
        assert isinstance(error, QueueTimeoutError)
        assert problem_of(error).status == 503
        assert "Try again later" in error.message


async def test_while_one_node_is_out_its_requests_wait_for_another_that_comes(tmp_path: Path, ill: FakeNode) -> None:
    late = Late("late", ["fine"], models=("status:500",))
    async with herding(tmp_path, node(ill, "status:500", "ill")) as place:
        for _ in range(IN_A_ROW):
            assert isinstance(await ask(place, "status:500"), StatusError)
        place.herd.add(late)
        asked = asyncio.create_task(ask(place, "status:500"))
        await until(lambda: len(place.orchestrator._queue) == 1)
        late.arrive()
        outcome = await asked
        assert isinstance(outcome, Outcome)
        assert (outcome.node, outcome.answer) == ("late", "fine")


# Retries


@pytest.mark.parametrize("fault", ["status:500", "status:400", "html"])
@pytest.mark.parametrize("at_once", [1, 40])
async def test_where_all_fails_there_are_few_more_calls_than_requests(
    tmp_path: Path, ill: FakeNode, fault: str, at_once: int
) -> None:
    requests, minimum = 120, 10
    async with herding(tmp_path, *(node(ill, fault, name) for name in ("a", "b", "c", "d"))) as place:
        for _ in range(requests // at_once):
            errors = await asyncio.gather(*(ask(place, fault) for _ in range(at_once)))
            assert all(isinstance(error, HerdingError) for error in errors)
        first = at_once - 1  # as long as no node has failed, every request may try a second one
        assert 0 < len(ill.calls()) <= 1.2 * requests + minimum + first
        assert max(len(row.attempts) for row in await place.rows()) <= 3


@pytest.mark.parametrize("fault", ["status:500", "html", "cut-after:0"])
async def test_of_many_callers_at_once_none_sees_what_a_healthy_node_can_mend(
    tmp_path: Path, ill: FakeNode, well: FakeNode, fault: str
) -> None:
    nodes = (node(ill, fault, "ill", concurrency=64), node(well, fault, "well", concurrency=64))
    async with herding(tmp_path, *nodes) as place:
        outcomes = await asyncio.gather(*(ask(place, fault) for _ in range(100)))
        assert {type(outcome) for outcome in outcomes} == {Outcome}
        assert ill.calls()


async def test_of_many_faults_in_a_row_none_is_seen_beside_a_healthy_node(
    tmp_path: Path, ill: FakeNode, well: FakeNode
) -> None:
    faults = ("status:500", "status:402", "html", "empty", "status:503", "unknown", "error-in-200", "redirect")
    nodes = [node(ill, fault, f"ill{number}") for number, fault in enumerate(faults)]
    async with herding(tmp_path, *nodes, openai(well.url, *faults, name="well")) as place:
        for fault in faults:
            for _ in range(8):
                outcome = await ask(place, fault)
                assert isinstance(outcome, Outcome), outcome
        assert ill.calls()


async def test_failures_that_nobody_could_mend_leave_the_retries_to_others(
    tmp_path: Path, ill: FakeNode, well: FakeNode
) -> None:
    nodes = (node(ill, "status:400", "alone"), node(ill, "html", "ill"), node(well, "html", "well"))
    async with herding(tmp_path, *nodes) as place:
        for _ in range(ROUND):
            assert isinstance(await ask(place, "status:400"), StatusError)
        for _ in range(ROUND):
            assert isinstance(await ask(place, "html"), Outcome)


@asynccontextmanager
async def probing(place: Place) -> AsyncIterator[None]:
    """The work that goes on beside the requests."""
    task = asyncio.create_task(place.orchestrator._prober.watch())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def ejections(place: Place) -> int:
    return place.herd.health.status("ill").ejections
