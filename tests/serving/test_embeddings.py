"""Embeddings through the one door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import (
    AccessError,
    AuthenticationError,
    BadResponseError,
    ConnectError,
    ContextLengthError,
    DeadlineError,
    HerdingError,
    LimitError,
    NodeError,
    NotFoundError,
    UserError,
)
from herding.nodes.base import Deadlines, Node
from herding.values import Embeddings, Limit, Message, Request, Usage
from tests.support.herding import ADMIN, GUEST, herding
from tests.support.nodes import Scripted, echo
from tests.support.until import until

TEXTS = ("a b", "c")


class Embedding(Scripted):
    """Gives each text its length as a vector, or raises what it is told to."""

    kind = "embedding"

    def __init__(self, name: str, *faults: Exception, hangs: bool = False, source: str = "node") -> None:
        super().__init__(name, [], models=())
        self.faults, self.hangs, self.source = list(faults), hangs, source
        self.asked: list[Sequence[str]] = []
        self.ended = asyncio.Event()

    @property
    def embeds(self) -> tuple[str, ...]:
        return ("e",)

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        self.asked.append(texts)
        try:
            if self.hangs:
                await asyncio.sleep(60)
            if self.faults:
                raise self.faults.pop(0)
        finally:
            self.ended.set()
        return Embeddings(tuple((float(len(text)),) for text in texts), 7, self.source)  # type: ignore[arg-type]


async def test_a_vector_for_each_text_and_a_row(tmp_path: Path) -> None:
    async with herding(tmp_path, echo(), Embedding("n")) as place:
        outcome, made = await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN)
        row = await place.row()
    assert made.vectors == ((3.0,), (1.0,))
    assert row == outcome
    assert (row.status, row.prompt, row.model, row.node, row.answer) == ("succeeded", "", "e", "n", "")
    assert json.loads(row.input) == list(TEXTS)
    assert row.usage == Usage(7, 0, "node")
    assert [(one.node, one.error_type) for one in row.attempts] == [("n", None)]


async def test_another_node_takes_over_and_three_are_tried_at_most(tmp_path: Path) -> None:
    nodes: list[Embedding] = [Embedding(str(n), ConnectError(f"{n} is away"), ConnectError("still")) for n in range(4)]
    async with herding(tmp_path, *nodes) as place:
        with pytest.raises(ConnectError, match="2 is away") as caught:
            await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN)
        row = await place.row()
        assert caught.value.request_id == row.request_id
        assert (row.status, row.error_type, row.usage.input_tokens) == ("failed", "node_unreachable", 3)
        assert [one.node for one in row.attempts] == ["0", "1", "2"]
        nodes[1].faults.clear()
        outcome, _ = await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN)
    assert (outcome.node, [one.error_type for one in outcome.attempts]) == ("1", ["node_unreachable", None])
    assert "attempt 2 after 0 failed" in (outcome.reason or "")


async def test_the_least_busy_node_is_asked(tmp_path: Path) -> None:
    first, second = Embedding("1", hangs=True), Embedding("2")
    async with herding(tmp_path, first, second) as place:
        waiting = asyncio.create_task(place.orchestrator.pipeline.embed("e", TEXTS, ADMIN))
        await until(lambda: first.asked)
        assert (await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN))[0].node == "2"
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_whoever_leaves_ends_the_call_and_leaves_a_row(tmp_path: Path) -> None:
    node = Embedding("n", hangs=True)
    async with herding(tmp_path, node) as place:
        waiting = asyncio.create_task(place.orchestrator.pipeline.embed("e", TEXTS, ADMIN))
        await until(lambda: node.asked)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert node.ended.is_set()
        assert (await place.row()).status == "abandoned"
        assert len(place.orchestrator._active) == 0


async def test_whoever_may_not_be_answered_any_more_gets_nothing(tmp_path: Path) -> None:
    node = Embedding("n", hangs=True)
    async with herding(tmp_path, node) as place:
        waiting = asyncio.create_task(place.orchestrator.pipeline.embed("e", TEXTS, ADMIN))
        await until(lambda: node.asked)
        next(iter(place.orchestrator._active)).revoke()
        with pytest.raises(AuthenticationError):
            await waiting
        assert node.ended.is_set()
        assert (await place.row()).status == "cancelled"


async def test_a_request_can_be_stopped(tmp_path: Path) -> None:
    node = Embedding("n", hangs=True)
    async with herding(tmp_path, node) as place:
        waiting = asyncio.create_task(place.orchestrator.pipeline.embed("e", TEXTS, ADMIN))
        await until(lambda: node.asked)
        await place.orchestrator.pipeline.cancel(next(iter(place.orchestrator._active)).request.id, ADMIN)
        with pytest.raises(UserError, match="was stopped"):
            await waiting
        assert node.ended.is_set()
        assert (await place.row()).status == "cancelled"


async def test_a_node_that_is_silent_or_broken_has_failed(tmp_path: Path) -> None:
    silent, broken = Embedding("silent", hangs=True), Embedding("broken", RuntimeError("a bug"))
    silent.deadlines = Deadlines(total=0.05)
    async with herding(tmp_path, silent, broken) as place:
        with pytest.raises(BadResponseError, match="a bug"):
            await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN)
        kinds = [one.error_type for one in (await place.row()).attempts]
    assert kinds == [DeadlineError.type, BadResponseError.type]


async def test_vectors_of_another_length_than_asked_for_are_refused(tmp_path: Path) -> None:
    async with herding(tmp_path, Embedding("n")) as place:
        assert (await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN, dimensions=1))[1].vectors
        with pytest.raises(NodeError, match="1 numbers instead of 2"):
            await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN, dimensions=2)


async def test_what_is_the_callers_fault_goes_to_no_other_node(tmp_path: Path) -> None:
    one, other = Embedding("1", ContextLengthError("too long")), Embedding("2")
    async with herding(tmp_path, one, other) as place:
        with pytest.raises(ContextLengthError):
            await place.orchestrator.pipeline.embed("e", TEXTS, ADMIN)
        assert other.asked == []
        assert (await place.row()).error_type == "context_length"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "1 to 2,048"),
        (["x"] * 2049, "1 to 2,048"),
        (["x", ""], "empty"),
        (["x" * 500_001] * 2, "1,000,000 characters"),
        (["a\x00"], "NUL"),
        (["\ud800"], "surrogate"),
    ],
)
async def test_texts_that_cannot_be_embedded(tmp_path: Path, texts: list[str], words: str) -> None:
    node = Embedding("n")
    async with herding(tmp_path, node) as place:
        with pytest.raises(UserError, match=words) as caught:
            await place.orchestrator.pipeline.embed("e", texts, ADMIN)
        assert caught.value.param == "input"
        assert (node.asked, await place.rows()) == ([], [])


async def test_rights_and_nodes_of_the_role_count(tmp_path: Path) -> None:
    async with herding(tmp_path, Embedding("cheap"), Embedding("dear")) as place:
        with pytest.raises(AccessError):
            await place.orchestrator.pipeline.embed("e", TEXTS, GUEST)
        for _ in range(2):
            some = replace(ADMIN, nodes=("dear",))
            assert (await place.orchestrator.pipeline.embed("e", TEXTS, some))[0].node == "dear"
        with pytest.raises(NotFoundError, match="Add embedding_models"):
            await place.orchestrator.pipeline.embed("e", TEXTS, replace(ADMIN, nodes=()))


@pytest.mark.parametrize("model", ["echo", "ghost", ""])
async def test_a_model_that_no_node_embeds_with_is_not_found(tmp_path: Path, model: str) -> None:
    async with herding(tmp_path, echo(), Embedding("n")) as place:
        with pytest.raises(NotFoundError, match="These are there: e"):
            await place.orchestrator.pipeline.embed(model, TEXTS, ADMIN)
        assert await place.rows() == []


async def test_tokens_are_reserved_before_and_settled_after(tmp_path: Path) -> None:
    who = replace(ADMIN, limits=(Limit("token", 1, 20),))
    async with herding(tmp_path, Embedding("n")) as place:
        with pytest.raises(LimitError, match="alone is larger"):
            await place.orchestrator.pipeline.embed("e", ["x" * 100], who)
        for _ in range(2):
            await place.orchestrator.pipeline.embed("e", TEXTS, who)
        (use,) = await place.store.usage(who.account or who.id, who.limits)
        assert use.used == 2 * 3, "what was reserved, although the node reports more"
        with pytest.raises(LimitError):
            await place.orchestrator.pipeline.embed("e", ["x" * 60], who)
        assert len(await place.rows()) == 2


async def test_of_who_opted_out_no_texts_are_kept(tmp_path: Path) -> None:
    async with herding(tmp_path, Embedding("n")) as place:
        await place.orchestrator.pipeline.embed("e", TEXTS, replace(ADMIN, opt_out=True))
        row = await place.row()
    assert (row.input, row.usage.input_tokens) == ("", 7)


async def test_a_chat_with_a_model_for_embeddings_is_not_found(tmp_path: Path) -> None:
    nodes: list[Node] = [echo(), Embedding("n")]
    async with herding(tmp_path, *nodes) as place:
        for request in (Request(messages=(Message("user", "hi"),), model="e"), Request("say", model="e")):
            with pytest.raises(HerdingError, match="is an embedding model") as caught:
                await place.orchestrator.pipeline.run(request, ADMIN)
            assert isinstance(caught.value, NotFoundError)


async def test_a_herd_that_only_embeds_is_ready(tmp_path: Path) -> None:
    async with herding(tmp_path, Embedding("n")) as place:
        assert await place.orchestrator.ready() is None
