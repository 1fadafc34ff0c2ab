"""The batching worker with the tiny model, in this process: what happens when it breaks, and what it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from herding.engine.errors import LoadError
from herding.values import Parameters


@pytest.fixture
def opened(tiny: Path) -> Iterator[Any]:
    from herding.engine.transformers_model import open_model

    models = []

    def begin(loop: asyncio.AbstractEventLoop, **options: Any) -> Any:
        settings = {
            "quantization": "none",
            "max_context": None,
            "max_active": 4,
            "threads": 1,
            "budget": 8 << 30,
        } | options
        models.append(open_model(tiny, lambda stage, fraction: None, loop=loop, **settings))
        return models[-1]

    yield begin
    for model in models:
        model.close()


async def ask(model: Any, key: str, count: int = 5) -> tuple[list[int], str | None]:
    end: asyncio.Future[tuple[list[int], str | None]] = asyncio.get_running_loop().create_future()

    def read(tokens: list[int], finished: bool, error: str | None) -> None:
        if finished and not end.done():
            end.set_result((list(tokens), error))

    model.submit(key, [1, 2, 3], Parameters(temperature=0.0, max_tokens=count), read)
    return await asyncio.wait_for(end, 120)


async def test_a_worker_that_dies_fails_its_answers_and_works_again_after_a_restart(opened):
    model = await asyncio.to_thread(opened, asyncio.get_running_loop())
    before = await ask(model, "before")
    sampler = model._worker._manager.logit_processor.logits_processor[0]
    sampler.prepare_tensor_args = lambda requests: 1 / 0
    ends = await asyncio.gather(ask(model, "one"), ask(model, "two"))
    assert all("division by zero" in error for _, error in ends)
    assert not model.alive
    await asyncio.to_thread(model.restart)
    assert model.alive
    assert await ask(model, "after") == before


async def test_a_cancelled_answer_goes_no_further(opened):
    model = await asyncio.to_thread(opened, asyncio.get_running_loop())
    seen: list[int] = []
    model.submit("long", [1], Parameters(temperature=0.0, max_tokens=900), lambda tokens, *_: seen.append(len(tokens)))
    async with asyncio.timeout(120):
        while not seen:  # noqa: ASYNC110 (the worker has no events of ours)
            await asyncio.sleep(0.005)
    model.cancel("long")
    reached = len(seen)
    await ask(model, "short")
    scheduler = model._worker._manager.batch_processor.scheduler
    assert len(seen) == reached
    async with asyncio.timeout(60):  # the short one may have been told before it was taken out
        while scheduler.active_requests or scheduler.waiting_requests:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert len(seen) == reached


async def test_a_smaller_context_may_be_asked_for(opened):
    model = await asyncio.to_thread(opened, asyncio.get_running_loop(), max_context=128)
    assert model.properties.context_length == 128


async def test_quantization_without_a_gpu_is_refused(opened):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(LoadError, match="GPU"):
        await asyncio.to_thread(opened, asyncio.get_running_loop(), quantization="4bit")


LLAMA_1B = SimpleNamespace(
    num_hidden_layers=16, num_attention_heads=32, num_key_value_heads=8, head_dim=64, max_position_embeddings=131072
)


def test_the_cache_holds_eight_full_contexts_where_memory_allows():
    from herding.engine.loading import plan_cache

    small = SimpleNamespace(num_hidden_layers=4, num_attention_heads=4, hidden_size=256, max_position_embeddings=2048)
    sizing = plan_cache(small, item_bytes=2, memory=8 << 30, max_context=None)
    assert sizing.context == 2048
    assert sizing.pages * sizing.page_tokens >= 8 * 2048


def test_the_context_shrinks_to_what_memory_allows():
    from herding.engine.loading import plan_cache

    sizing = plan_cache(LLAMA_1B, item_bytes=2, memory=2 << 30, max_context=None)
    assert 10_000 < sizing.context < 131072
    cache = sizing.pages * sizing.page_tokens * 16 * 8 * 64 * 2 * 2
    assert cache < 2 << 30


def test_a_model_without_room_for_any_answer_is_refused():
    from herding.engine.loading import plan_cache

    with pytest.raises(LoadError, match="memory"):
        plan_cache(LLAMA_1B, item_bytes=2, memory=1 << 20, max_context=None)
