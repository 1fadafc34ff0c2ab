"""The engine's own rules, with a model that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from herding.engine.engine import Engine
from herding.engine.errors import LoadError, NoModelError, OverloadedError, SwitchedError, WorkerError
from herding.engine.model import Job, ModelProperties
from herding.engine.model_files import ModelCatalog, ModelSource, parse_source
from herding.engine.requests import GenerationRequest
from herding.engine.text import ResponseText
from herding.errors import ConfigError, HerdingError
from herding.values import Parameters
from tests.support.until import until


class Puppet:
    """A served model; the test decides what it generates."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.properties = ModelProperties(context_length=100, chat=True, device="cpu", dtype="float32", parameters=1)
        self.defaults = Parameters(temperature=0.0)
        self.alive = True
        self.failure: str | None = None
        self.closed = False
        self.restarts = 0
        self.breaks = False
        self.readers: dict[str, Any] = {}
        self.cancelled: list[str] = []

    def encode(self, request: GenerationRequest) -> list[int]:
        return list((request.text or "").encode())

    def count_tokens(self, request: GenerationRequest) -> int:
        return len(self.encode(request))

    def tool_reader(self, request: GenerationRequest) -> None:
        """No tools."""

    def opened(self, tokens: Sequence[int]) -> str:
        return ""

    def new_response(self, *, stop: Sequence[str], input_tokens: int, tools: bool = False) -> ResponseText:
        decode = lambda tokens: bytes(tokens).decode(errors="replace")  # noqa: E731
        return ResponseText(decode=decode, eos_tokens=frozenset({0}), stop=stop, input_tokens=input_tokens)

    def submit(self, key: str, tokens: Sequence[int], parameters: Parameters, on_tokens: Any) -> None:
        if tokens == list(b"poison"):
            raise WorkerError("poison")
        self.readers[key] = on_tokens

    def cancel(self, key: str) -> None:
        self.cancelled.append(key)

    def restart(self) -> None:
        self.restarts += 1
        if self.breaks:
            raise RuntimeError("no memory")
        self.alive = True

    def close(self) -> None:
        self.closed = True


class Stage:
    """Opens puppets; `broken` names those that fail, and how often."""

    def __init__(self, **broken: int) -> None:
        self.broken = broken
        self.opened: list[Puppet] = []

    def fetch(self, source: ModelSource, report: Any) -> Path:
        return Path(source.id)

    def open(self, path: Path, report: Any, loop: Any) -> Puppet:
        report("reading weights", 0.5)
        if self.broken.get(path.name, 0) > 0:
            self.broken[path.name] -= 1
            raise LoadError(f"{path.name} is broken.")
        self.opened.append(Puppet(path.name))
        return self.opened[-1]


async def ready(stage: Stage, **limits: Any) -> Engine:
    settings = {"max_active": 2, "max_waiting": 1, "drain_seconds": 0.2} | limits
    engine = Engine(catalog=ModelCatalog(map(parse_source, ("a", "b"))), loader=stage, **settings)
    await follow(engine, "a")
    return engine


async def follow(engine: Engine, model: str) -> dict[str, Any]:
    return [event async for event in engine.load(model).events()][-1]


async def collect(engine: Engine, job: Job) -> tuple[str, Any]:
    text = ""
    try:
        async for event in engine.run(job):
            if event["type"] == "done":
                return text, event
            text += event["text"]
    except HerdingError as error:
        return text, error
    finally:
        engine.forget(job)
    raise AssertionError("a stream ended without an end")


async def started(engine: Engine, count: int, text: str = "x") -> tuple[list[Job], list[asyncio.Task[Any]]]:
    jobs = [await engine.admit(GenerationRequest(text=text)) for _ in range(count)]
    tasks = [asyncio.create_task(collect(engine, job)) for job in jobs]
    await asyncio.sleep(0.01)
    return jobs, tasks


async def test_an_answer_is_streamed_and_counted():
    stage = Stage()
    engine = await ready(stage)
    (job,), (task,) = await started(engine, 1)
    push = stage.opened[0].readers[job.key]
    push(list(b"he"), False, None)
    push([*b"hello", 0], True, None)
    text, done = await task
    assert text == "hello"
    assert done == {"type": "done", "finish_reason": "stop", "usage": {"input_tokens": 1, "output_tokens": 6}}
    assert engine.status()["active"] == engine.status()["waiting"] == 0
    assert stage.opened[0].cancelled == []


async def test_who_exceeds_the_queue_is_refused_and_the_others_wait_their_turn():
    stage = Stage()
    engine = await ready(stage)
    jobs, tasks = await started(engine, 3)
    assert (engine.status()["active"], engine.status()["waiting"]) == (2, 1)
    with pytest.raises(OverloadedError):
        await engine.admit(GenerationRequest(text="x"))
    stage.opened[0].readers[jobs[0].key]([0], True, None)
    await tasks[0]
    await until(lambda: jobs[2].running)
    for task in tasks[1:]:
        task.cancel()


async def test_an_error_of_one_request_is_its_own():
    stage = Stage()
    engine = await ready(stage)
    (job,), (task,) = await started(engine, 1)
    _, (poisoned,) = await started(engine, 1, "poison")
    assert isinstance((await poisoned)[1], WorkerError)
    stage.opened[0].readers[job.key]([*b"fine", 0], True, None)
    assert (await task)[0] == "fine"


async def test_leaving_cancels_the_generation():
    stage = Stage()
    engine = await ready(stage)
    (job,), (task,) = await started(engine, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert stage.opened[0].cancelled == [job.key]
    assert engine.status()["active"] == 0


async def test_when_the_worker_dies_all_its_answers_end_and_it_is_started_again():
    stage = Stage()
    engine = await ready(stage)
    watching = asyncio.create_task(engine.watch())
    _, tasks = await started(engine, 2)
    stage.opened[0].alive, stage.opened[0].failure = False, "out of memory"
    ends = await asyncio.wait_for(asyncio.gather(*tasks), 60)
    assert all(isinstance(error, WorkerError) and "out of memory" in error.message for _, error in ends)
    await until(lambda: stage.opened[0].alive)
    assert stage.opened[0].restarts == 1
    (job,), (task,) = await started(engine, 1)
    stage.opened[0].readers[job.key]([0], True, None)
    assert (await task)[1]["type"] == "done"
    watching.cancel()


async def test_a_worker_that_cannot_be_started_again_leaves_a_failed_engine():
    stage = Stage()
    engine = await ready(stage)
    watching = asyncio.create_task(engine.watch())
    stage.opened[0].breaks, stage.opened[0].alive = True, False
    await until(lambda: engine.status()["state"] == "failed")
    with pytest.raises(NoModelError, match="no memory"):
        await engine.admit(GenerationRequest(text="x"))
    assert (await follow(engine, "b"))["type"] == "done"
    watching.cancel()


async def test_a_change_waits_for_running_answers_and_then_cuts_them_off():
    stage = Stage()
    engine = await ready(stage)
    _, tasks = await started(engine, 3)
    assert await follow(engine, "b") == {"type": "done", "model": "b"}
    ends = await asyncio.gather(*tasks)
    assert all(isinstance(error, SwitchedError) for _, error in ends)
    assert stage.opened[0].closed
    assert engine.status()["model"] == "b"


async def test_a_failed_change_brings_the_earlier_model_back():
    stage = Stage(b=1)
    engine = await ready(stage)
    last = await follow(engine, "b")
    assert last["message"] == "b is broken. The previous model 'a' is loaded again."
    assert [puppet.name for puppet in stage.opened] == ["a", "a"]
    assert (engine.status()["state"], engine.status()["model"]) == ("ready", "a")


async def test_when_the_earlier_model_fails_too_the_engine_says_so():
    stage = Stage(b=1)
    engine = await ready(stage)
    stage.broken["a"] = 1
    assert (await follow(engine, "b"))["type"] == "error"
    assert (engine.status()["state"], engine.status()["model"]) == ("failed", None)


async def test_the_context_bounds_the_answer():
    engine = await ready(Stage())
    job = await engine.admit(GenerationRequest(text="x" * 90, parameters=Parameters(max_tokens=50)))
    assert job.parameters.max_tokens == 10


@pytest.mark.parametrize("text", ["", "a/b/c", "a=", "a b"])
def test_an_offer_needs_a_proper_id(text):
    with pytest.raises(ConfigError):
        parse_source(text)


def test_an_offer_may_be_a_directory():
    assert parse_source("me/mine=/models/mine") == ModelSource("me/mine", Path("/models/mine"))
    assert parse_source("herding/cria").bundled
