"""The engine's own rules, with a model that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from herding.engine.engine import Engine
from herding.engine.errors import (
    BusyError,
    LoadError,
    LoadingError,
    MemoryBudgetError,
    NoModelError,
    OverloadedError,
    WorkerError,
)
from herding.engine.model import Job, ModelProperties
from herding.engine.model_files import ModelCatalog, ModelSource, parse_source
from herding.engine.requests import GenerationRequest
from herding.engine.text import ResponseText
from herding.errors import ConfigError, HerdingError, NotFoundError, UserError
from herding.values import Parameters
from tests.support.until import until

SIZES = {"big": 70, "huge": 200}
"""The bytes that models take; others take 10."""


class Puppet:
    """A served model; the test decides what it generates."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.properties = ModelProperties(
            context_length=100, chat=True, device="cpu", dtype="float32", parameters=1, size=SIZES.get(name, 10)
        )
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
    """Opens puppets; `broken` names those that fail, and how often. `gates` hold back the fetching of models."""

    def __init__(self, budget: int = 100, **broken: int) -> None:
        self.budget = budget
        self.broken = broken
        self.opened: list[Puppet] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.fetched: list[str] = []

    def on_disk(self, source: ModelSource) -> bool:
        return source.path is not None

    def unfinished(self, source: ModelSource) -> None:
        return None

    def deletable(self, source: ModelSource) -> int:
        return 0

    def delete(self, source: ModelSource) -> None:
        return

    async def fetch(self, source: ModelSource, report: Any) -> Path:
        self.fetched.append(source.id)
        report("downloading", 0.25)
        if gate := self.gates.get(source.id):
            await gate.wait()
        return Path(source.id)

    def measure(self, path: Path, report: Any) -> int:
        return SIZES.get(path.name, 10)

    def open(self, path: Path, report: Any, loop: Any) -> Puppet:
        report("reading weights", 0.5)
        if self.broken.get(path.name, 0) > 0:
            self.broken[path.name] -= 1
            raise LoadError(f"{path.name} is broken.")
        self.opened.append(Puppet(path.name))
        return self.opened[-1]

    def puppet(self, name: str) -> Puppet:
        """The model of that name that was opened last."""
        return next(puppet for puppet in reversed(self.opened) if puppet.name == name)


MODELS = ("a", "b", "big", "huge")


async def ready(stage: Stage, **limits: Any) -> Engine:
    settings = {"max_active": 2, "max_waiting": 1, "available": lambda: 10**9} | limits
    engine = Engine(catalog=ModelCatalog(map(parse_source, MODELS)), loader=stage, **settings)
    await follow(engine, "a")
    return engine


def state_of(engine: Engine, model: str) -> dict[str, Any]:
    return next(one for one in engine.status()["models"] if one["id"] == model)


def loaded(engine: Engine) -> set[str]:
    return {one["id"] for one in engine.status()["models"] if one["state"] == "loaded"}


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


async def started(
    engine: Engine, count: int, text: str = "x", model: str | None = None
) -> tuple[list[Job], list[asyncio.Task[Any]]]:
    jobs = [await engine.admit(GenerationRequest(text=text, model=model)) for _ in range(count)]
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


async def test_a_worker_that_cannot_be_started_again_fails_its_model():
    stage = Stage()
    engine = await ready(stage)
    watching = asyncio.create_task(engine.watch())
    stage.opened[0].breaks, stage.opened[0].alive = True, False
    await until(lambda: engine.status()["state"] == "failed")
    with pytest.raises(NoModelError, match="no memory"):
        await engine.admit(GenerationRequest(text="x"))
    assert (await follow(engine, "b"))["type"] == "done"
    watching.cancel()


async def test_two_models_answer_at_the_same_time():
    stage = Stage()
    engine = await ready(stage)
    assert await follow(engine, "b") == {"type": "done", "model": "b"}
    assert loaded(engine) == {"a", "b"}
    (one,), (first,) = await started(engine, 1, model="a")
    (two,), (second,) = await started(engine, 1, model="b")
    stage.puppet("b").readers[two.key]([*b"from b", 0], True, None)
    assert (await second)[0] == "from b"
    stage.puppet("a").readers[one.key]([*b"from a", 0], True, None)
    assert (await first)[0] == "from a"


async def test_a_model_that_a_request_names_is_loaded_for_it():
    stage = Stage()
    engine = await ready(stage)
    stage.gates["b"] = asyncio.Event()
    admitting = asyncio.create_task(engine.admit(GenerationRequest(text="x", model="b")))
    await until(lambda: state_of(engine, "b").get("progress") == 0.25)
    assert state_of(engine, "b")["stage"] == "downloading"
    assert (await started(engine, 1, model="a"))[0]  # the loaded one answers meanwhile
    stage.gates["b"].set()
    job = await admitting
    assert job.model is stage.puppet("b")
    with pytest.raises(NotFoundError, match="'c' is not available here"):
        await engine.admit(GenerationRequest(text="x", model="c"))


async def test_followers_of_one_load_see_the_same_end():
    stage = Stage()
    engine = await ready(stage)
    ends = await asyncio.gather(follow(engine, "b"), follow(engine, "b"))
    assert ends == [{"type": "done", "model": "b"}] * 2
    assert stage.fetched == ["a", "b"]


async def test_the_least_recently_used_model_goes_when_the_memory_is_small():
    stage = Stage(budget=25)
    engine = await ready(stage)
    await follow(engine, "b")
    job = await engine.admit(GenerationRequest(text="x", model="a"))
    engine.forget(job)  # now b is the one that was not used for the longest time
    SIZES["c"] = 10
    engine._manager.catalog.add(parse_source("c"))
    assert (await follow(engine, "c"))["type"] == "done"
    assert loaded(engine) == {"a", "c"}
    assert stage.puppet("b").closed
    assert engine.status()["memory"] == {"budget": 25, "used": 20, "free": 5}


async def test_a_model_with_requests_is_never_unloaded():
    stage = Stage(budget=75)
    engine = await ready(stage)
    (job,), (task,) = await started(engine, 1, model="a")
    last = await follow(engine, "big")
    assert (last["type"], last["error_type"]) == ("error", "busy")
    assert "'a' has running requests" in last["message"]
    with pytest.raises(BusyError, match="1 request"):
        await engine.unload("a")
    stage.puppet("a").readers[job.key]([*b"fine", 0], True, None)
    assert (await task)[0] == "fine"
    assert (await follow(engine, "big"))["type"] == "done"
    assert loaded(engine) == {"big"}


async def test_a_model_that_never_fits_is_refused_with_its_size_and_nothing_is_unloaded():
    engine = await ready(Stage())
    last = await follow(engine, "huge")
    assert last["error_type"] == "no_memory"
    assert "all models together may take" in last["message"]
    assert loaded(engine) == {"a"}
    assert "all models together" in state_of(engine, "huge")["error"]
    with pytest.raises(MemoryBudgetError):
        await engine.admit(GenerationRequest(text="x", model="huge"))


async def test_a_machine_without_free_memory_loads_nothing_more():
    stage = Stage()
    engine = await ready(stage, available=lambda: 5)
    assert loaded(engine) == set()
    assert "5 B are free" in state_of(engine, "a")["error"]
    assert "free memory on the machine" in state_of(engine, "a")["error"]


async def test_a_load_that_fails_leaves_the_others_and_tells_why():
    stage = Stage(b=1)
    engine = await ready(stage)
    assert (await follow(engine, "b"))["message"] == "b is broken."
    assert (engine.status()["state"], engine.status()["model"], engine.status()["error"]) == (
        "ready",
        "a",
        "b is broken.",
    )
    assert state_of(engine, "b") == {"id": "b", "state": "failed", "error": "b is broken.", "on_disk": False}
    assert (await follow(engine, "b"))["type"] == "done"
    assert engine.status()["error"] is None


async def test_unloading_frees_the_memory_and_cancels_a_load():
    stage = Stage()
    engine = await ready(stage)
    stage.gates["b"] = asyncio.Event()
    following = asyncio.create_task(follow(engine, "b"))
    await until(lambda: "b" in stage.fetched)
    await engine.unload("b")
    assert (await following)["error_type"] == "load_cancelled"
    assert state_of(engine, "b")["state"] == "available"
    await engine.unload("a")
    assert stage.puppet("a").closed
    assert engine.status()["memory"]["used"] == 0
    with pytest.raises(NoModelError):
        await engine.admit(GenerationRequest(text="x"))


async def test_models_of_the_start_stay_and_others_go_when_they_rest():
    stage = Stage()
    engine = Engine(
        catalog=ModelCatalog(map(parse_source, MODELS)),
        loader=stage,
        max_active=2,
        max_waiting=1,
        keep_alive=0.05,
        available=lambda: 10**9,
    )
    with pytest.raises(NoModelError):
        await engine.admit(GenerationRequest(text="x"))
    engine.load_initial([parse_source("a")])
    with pytest.raises(LoadingError):
        await engine.admit(GenerationRequest(text="x"))
    await follow(engine, "b")
    job = await engine.admit(GenerationRequest(text="x", model="b"))
    watching = asyncio.create_task(engine.watch())
    await asyncio.sleep(0.3)
    assert loaded(engine) == {"a", "b"}
    engine.forget(job)
    await until(lambda: loaded(engine) == {"a"})
    watching.cancel()


async def test_any_model_of_the_hub_can_be_added_but_no_path():
    stage = Stage()
    engine = await ready(stage)
    with pytest.raises(NotFoundError):
        engine.load("someone/new")
    for wrong in ("/etc/passwd", "../x", "new"):
        with pytest.raises(UserError, match="owner/name"):
            engine.load(wrong, from_hub=True)
    end = [event async for event in engine.load("someone/new", from_hub=True).events()][-1]
    assert end["type"] == "done"
    assert "someone/new" in loaded(engine)


async def test_a_path_can_be_added_under_a_name_of_its_own(tmp_path: Path):
    engine = await ready(Stage(bad=1))
    assert engine.status()["keep_alive"] is None
    for _ in range(2):
        end = [event async for event in engine.load("mine", path=str(tmp_path / "mine")).events()][-1]
        assert end["type"] == "done"
    assert "mine" in loaded(engine)
    assert state_of(engine, "mine")["resident"] is False
    with pytest.raises(UserError, match=r"Another model is named 'mine' here.*mine-2=/other"):
        engine.load("mine", path="/other")
    with pytest.raises(UserError, match="Invalid model id"):
        engine.load("a b", path="/other")
    with pytest.raises(UserError, match="Another model is named 'a' here"):
        engine.load("a", path=str(tmp_path))


async def test_a_model_that_was_added_and_failed_is_gone_when_its_error_is_dismissed(tmp_path: Path):
    engine = await ready(Stage(bad=1, b=1))
    bad = [event async for event in engine.load("bad", from_hub=False, path=str(tmp_path / "bad")).events()][-1]
    assert bad["error_type"] == "load_failed"
    assert state_of(engine, "bad")["state"] == "failed"
    await follow(engine, "b")
    for model in ("bad", "b"):
        await engine.unload(model)
    assert [one["id"] for one in engine.status()["models"] if one["state"] == "failed"] == []
    assert "bad" not in {one["id"] for one in engine.status()["models"]}
    assert state_of(engine, "b")["state"] == "available"


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
