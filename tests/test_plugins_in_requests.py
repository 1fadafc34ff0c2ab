"""What plugins add to requests: variable sources, response filters and routing policies, working and failing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from herding.errors import PluginFailedError, UserError
from herding.orchestrator import built_in
from herding.plugins import Plugins, RefusedError, RoutingChoice, RoutingQuery, SourceCall, StreamFilter, hookimpl
from herding.values import Delta, Done, Outcome, Request
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import Scripted, echo


class Masker(StreamFilter):
    """Replaces a digit by its argument, and holds one character back."""

    held = ""

    def feed(self, text: str) -> str:
        text = self.held + text
        self.held, text = text[-1:], text[:-1]
        return "".join(str(self.argument) if letter.isdigit() else letter for letter in text)

    def end(self) -> str:
        return self.held


class Refuser(StreamFilter):
    def feed(self, text: str) -> str:
        if "price" in text:
            raise RefusedError("it names a price")
        return text


async def weather(call: SourceCall) -> str:
    await asyncio.sleep(0)
    return f"rain in {call.arguments['city']} for {call.user}"


async def hangs(_call: SourceCall) -> str:
    await asyncio.sleep(30)
    return ""


def exits(*_: Any) -> Any:
    raise SystemExit(3)


async def exits_async(*_: Any) -> Any:
    raise SystemExit(3)


def no_price(text: str, argument: str) -> str:
    if argument in text:
        raise RefusedError(f"it has '{argument}'")
    return text


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError


def unreadable(*_: Any) -> Any:
    raise Unreadable


async def unreadable_async(*_: Any) -> Any:
    raise Unreadable


async def cancels(*_: Any) -> Any:
    raise asyncio.CancelledError


def spoils(call: SourceCall) -> str:
    """Change all that it got."""
    call.arguments["list"].append("more")  # type: ignore[attr-defined]
    call.variables["numbers"].append(9)
    return "done"


def spoils_argument(text: str, argument: list[str]) -> str:
    argument.append(text)
    return " ".join(argument)


class Example:
    """A plugin of another package."""

    @hookimpl
    def herding_variable_sources(self) -> dict[str, Any]:
        return {
            "weather": weather,
            "answer": lambda call: 42,
            "list": lambda call: ["x"],
            "hangs": hangs,
            "blocks": lambda call: time.sleep(30),
            "exits": exits,
            "exits_async": exits_async,
            "cancels": cancels,
            "unreadable": unreadable,
            "unreadable_async": unreadable_async,
            "spoils": spoils,
        }

    @hookimpl
    def herding_checks(self) -> dict[str, Any]:
        return {"spoils": lambda text, argument: argument.append(text), "cancels": cancels, "unreadable": unreadable}

    @hookimpl
    def herding_response_filters(self) -> dict[str, Any]:
        return {
            "upper": lambda text, argument: text.upper(),
            "no_price": no_price,
            "mask": Masker,
            "refuse": Refuser,
            "types": lambda text, argument: 5,
            "spoils": spoils_argument,
            "cancels": cancels,
            "unreadable": unreadable,
            "exits": exits,
            "blocks": lambda text, argument: time.sleep(30),
        }

    @hookimpl
    def herding_routing_policies(self) -> dict[str, Any]:
        return {
            "last": lambda query: query.models[-1],
            "worst": lambda query: RoutingChoice(
                tuple(sorted(query.models, key=query.quality.__getitem__)),
                dict.fromkeys(query.models, 0.5),
                "worst",
            ),
            "ghost": lambda query: "ghost",
            "exits": exits,
            "slow": lambda query: time.sleep(2),
        }


def installed() -> Plugins:
    plugins = Plugins(built_in=built_in(), call_seconds=0.3)
    plugins.register(Example(), "example")
    return plugins


@asynccontextmanager
async def place_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *nodes: Any) -> AsyncIterator[Place]:
    monkeypatch.setattr("herding.main.load_plugins", lambda _off=(): installed())
    async with herding(tmp_path, *(nodes or (echo(),))) as place:
        yield place


def write(place: Place, key: str, more: str, text: str = "{{text}}", models: str = "[echo]") -> None:
    lines = "\n".join(f"                {line}" for line in more.strip().splitlines())
    place.write(
        key,
        f"""
                name: {key}
                target_models: {models}
                messages: [{{role: user, content: "{text}"}}]
{lines}
        """,
    )


async def run(place: Place, key: str, **values: Any) -> Outcome:
    return await place.orchestrator.pipeline.run(Request(key, values), ADMIN)


async def stream(place: Place, key: str, **values: Any) -> tuple[list[str], Outcome]:
    texts, outcome = [], None
    async for event in place.orchestrator.pipeline.stream(Request(key, values), ADMIN):
        if isinstance(event, Delta):
            texts.append(event.text)
        outcome = event.outcome if isinstance(event, Done) else outcome
    assert outcome is not None
    return texts, outcome


TEXT = "variables: {text: {}}\n"


async def test_a_source_fills_what_the_caller_leaves_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        more = """
variables:
  city: {}
  sky: {source: weather, arguments: {city: "{{city}}"}}
  count: {type: integer, source: answer}
  year: {source: now, arguments: {format: "%Y", timezone: Europe/Berlin}}
"""
        write(place, "sky", more, text="{{sky}}, {{count}}, {{year}}")
        outcome = await run(place, "sky", city="{{sky}} Bonn")
        assert outcome.variables["sky"] == f"rain in {{{{sky}}}} Bonn for {ADMIN.id}"
        assert outcome.variables["count"] == 42
        assert outcome.answer == f"rain in {{{{sky}}}} Bonn for {ADMIN.id}, 42, {time.strftime('%Y')}"
        assert (await run(place, "sky", city="Bonn", sky="sun", count=7)).answer.startswith("sun, 7,")
        stored = await place.orchestrator.history.entry(outcome.request_id, ADMIN)
        assert stored.outcome.variables["sky"] == outcome.variables["sky"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("list", "'x' must be a text"),
        ("hangs", "took longer than 0.3 seconds"),
        ("blocks", "took longer than 0.3 seconds"),
        ("exits", "SystemExit: 3"),
        ("exits_async", "SystemExit: 3"),
        ("weather", "KeyError: 'city'"),
    ],
)
async def test_a_source_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        write(place, "bad", f"variables: {{x: {{source: {source}}}}}", text="{{x}}")
        write(place, "good", "variables: {x: {source: weather, arguments: {city: Ulm}}}", text="{{x}}")
        with pytest.raises(PluginFailedError) as caught:
            await run(place, "bad")
        assert caught.value.param == "x"
        assert source in caught.value.message
        assert words.removeprefix("'x' ") in caught.value.message
        assert (await run(place, "good")).answer.startswith("rain in Ulm")


async def test_filters_change_a_response_and_that_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        write(place, "loud", TEXT + 'filters: [upper, {name: no_price, argument: "9"}]\nchecks: {regex: "^A B C$"}')
        texts, outcome = await stream(place, "loud", text="a b c")
        assert texts == ["A B C"]
        assert (outcome.answer, outcome.checks.ok) == ("A B C", True)
        told = [(found.name, found.plugin, found.action, found.before, found.after) for found in outcome.filters]
        assert told == [("upper", "example", "changed", 5, 5), ("no_price", "example", "passed", 5, 5)]
        stored = (await place.orchestrator.history.entry(outcome.request_id, ADMIN)).outcome
        assert (stored.answer, stored.filters) == ("A B C", outcome.filters)


async def test_a_refused_response_is_neither_returned_nor_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        write(place, "safe", TEXT + 'filters: [{name: no_price, argument: "9"}]')
        texts, outcome = await stream(place, "safe", text="only 9 euros")
        assert (texts, outcome.answer, outcome.finish_reason) == ([], "", "content_filter")
        assert outcome.checks.reason == "refused by a response filter: it has '9'"
        assert outcome.note == "The response filter 'no_price' refused the response: it has '9'."
        entry = await place.orchestrator.history.entry(outcome.request_id, ADMIN)
        assert (entry.outcome.status, entry.outcome.answer) == ("succeeded", "")


async def test_stream_filters_pass_on_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Scripted("paced", ["tel. 0", "1", "7", " soon"])
    async with place_with(tmp_path, monkeypatch, node) as place:
        write(place, "masked", 'filters: [{name: mask, argument: "*"}]', text="x")
        texts, outcome = await stream(place, "masked")
        assert len(texts) > 2
        assert "".join(texts) == outcome.answer == "tel. *** soon"
        write(place, "refused", "filters: [refuse]", text="x")
        node._words = ["the ", "price ", "is 5"]
        texts, outcome = await stream(place, "refused")
        assert (texts, outcome.answer, outcome.finish_reason) == (["the "], "the ", "content_filter")


@pytest.mark.parametrize(
    ("name", "words"),
    [("types", "returned int, not a text"), ("exits", "SystemExit: 3"), ("blocks", "took longer than 0.3 seconds")],
)
async def test_a_filter_that_fails_lets_nothing_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        write(place, "bad", TEXT + f"filters: [{name}]")
        write(place, "good", TEXT + "filters: [upper]")
        with pytest.raises(PluginFailedError, match=f"response filter '{name}' of the plugin 'example'") as caught:
            await run(place, "bad", text="secret")
        assert words in caught.value.message
        entry = await place.orchestrator.history.entry(caught.value.request_id or "", ADMIN)
        assert (entry.outcome.status, entry.outcome.answer, entry.outcome.error_type) == (
            "failed",
            "",
            "plugin_failed",
        )
        assert entry.outcome.filters[0].action == "failed"
        assert (await run(place, "good", text="fine")).answer == "FINE"


async def test_what_filters_do_not_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        write(place, "loud", TEXT + "filters: [upper]\nparameters: {n: 2}")
        with pytest.raises(UserError, match="Leave out 'n'"):
            await run(place, "loud", text="x")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("last", ("b", "last", "b is the choice of the policy last")),
        ("worst", ("a", "worst", "worst")),
        ("ghost", (None, "stars", "it chose 'ghost', which is none of the models: a, b")),
        ("exits", (None, "stars", "SystemExit: 3")),
        ("slow", (None, "stars", "took longer than 0.05 seconds")),
    ],
)
async def test_policies_of_plugins_choose_and_stars_replace_those_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, expected: tuple[str | None, str, str]
) -> None:
    model, told, words = expected
    async with place_with(tmp_path, monkeypatch, echo("one", "a"), echo("two", "b")) as place:
        write(place, "p", f"{TEXT}routing: {{policy: {policy}}}", models="[a, b]")
        outcome = await run(place, "p", text="x")
        assert outcome.model == model or model is None
        assert (outcome.policy, words in (outcome.reason or "")) == (told, True), outcome.reason
        if policy == "slow":  # it is not asked again for a while, so that it does not slow down every request
            began = time.perf_counter()
            assert "asked again within a minute" in ((await run(place, "p", text="x")).reason or "")
            assert time.perf_counter() - began < 1.5


@pytest.mark.parametrize(
    ("more", "place_of_it", "words"),
    [
        ("variables: {text: {source: ghost}}", "variables.text.source", "variable source 'ghost' is not installed"),
        (TEXT + "filters: [upper, {name: ghost}]", "filters.1", "response filter 'ghost' is not installed"),
        (TEXT + "routing: {policy: ghost2}", "routing.policy", "routing policy 'ghost2' is not installed"),
    ],
)
async def test_a_file_that_names_what_is_not_installed_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, place_of_it: str, words: str
) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        write(place, "bad", more)
        await place.orchestrator.prompts.list_all(ADMIN)
        (error,) = await place.orchestrator.prompts.broken(ADMIN)
        assert (error.key, words in error.reason) == (place_of_it, True)
        assert "Installed: " in error.reason
        text = f"name: x\ntarget_models: [echo]\nmessages: [{{role: user, content: x}}]\n{more}"
        with pytest.raises(UserError, match="is not installed") as caught:
            await place.orchestrator.studio.save("new", yaml.safe_load(text), ADMIN)
        assert caught.value.param == place_of_it


async def test_a_stored_version_without_its_plugin_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with place_with(tmp_path, patch) as place:
            write(place, "loud", TEXT + "filters: [upper]")
            write(place, "sky", "variables: {x: {source: weather}}", text="{{x}}")
            write(place, "last", TEXT + "routing: {policy: last}", models="[echo, other]")
            await place.orchestrator.prompts.list_all(ADMIN)
    async with herding(tmp_path, echo(), echo("two", "other")) as place:
        with pytest.raises(UserError, match="the response filter 'upper' is not installed"):
            await run(place, "loud", text="x")
        with pytest.raises(UserError, match="Variable 'x' can't be filled: the variable source 'weather' is not"):
            await run(place, "sky")
        assert (await run(place, "sky", x="sun")).answer == "sun"
        outcome = await run(place, "last", text="x")
        assert outcome.policy == "stars"
        assert "the routing policy 'last' is not installed" in (outcome.reason or "")


def test_a_query_for_another_thread_is_complete() -> None:
    from random import Random

    class Known:
        asked: Callable[[], int]

        def quality(self) -> dict[str, float]:
            return {"a": 0.1, "b": 0.9}

        star_shares = success_shares = quality

        def describe(self, model: str) -> str:
            return f"about {model}"

        def next_turn(self) -> int:
            return 3

    query = RoutingQuery("p", ("a", "b"), busy={}, explore=True, random=Random(1), evidence=Known())
    made = query.detached()
    made._evidence = None  # type: ignore[assignment]
    assert (made.quality["b"], made.star_shares["a"], made.turn, made.describe("b")) == (0.9, 0.1, 3, "about b")


async def test_what_a_plugin_gets_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place_with(tmp_path, monkeypatch) as place:
        more = (
            "variables:\n  numbers: {type: number_list, default: [1, 2]}\n"
            "  state: {source: spoils, arguments: {list: [a]}}\n"
            "filters: [{name: spoils, argument: [x]}]\nchecks: {plugins: {spoils: [y]}}\n"
        )
        write(place, "spoiled", more, text="{{numbers}} {{state}}")
        for _ in range(3):
            outcome = await run(place, "spoiled")
            assert (outcome.answer, outcome.checks.ok) == ("x 1, 2 done", True)
            assert outcome.variables["numbers"] == [1, 2]
        prompt = (await place.orchestrator.prompts.get("spoiled", ADMIN)).content
        assert prompt["checks"] == {"plugins": {"spoils": ["y"]}}
        assert prompt["filters"] == [{"name": "spoils", "argument": ["x"]}]


@pytest.mark.parametrize("name", ["cancels", "unreadable", "unreadable_async"])
async def test_an_odd_exception_is_a_failure_of_the_plugin_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    said = "CancelledError" if name == "cancels" else "Unreadable"
    async with place_with(tmp_path, monkeypatch) as place:
        write(place, "sourced", f"variables: {{text: {{source: {name}}}}}\n")
        with pytest.raises(PluginFailedError, match=said):
            await run(place, "sourced")
        if name != "unreadable_async":
            write(place, "filtered", TEXT + f"filters: [{name}]\n")
            with pytest.raises(PluginFailedError, match=said):
                await run(place, "filtered", text="x")
            write(place, "checked", TEXT + f"checks: {{plugins: {{{name}: 1}}}}\n")
            outcome = await run(place, "checked", text="x")
            assert outcome.checks.ok is None
            assert said in (outcome.checks.reason or "")
        assert place.orchestrator.running() == 0
