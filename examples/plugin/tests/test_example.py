"""Tests of the example: its own functions, and what Herding makes of them. Run with pytest where both are installed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from herding_example.checks import ends_with
from herding_example.filters import MaskDigits, without_words
from herding_example.loaders import read_properties

from herding.main import load_plugins
from herding.nodes import catalog
from herding.nodes.base import BuildContext
from herding.plugins import RefusedError, SourceCall
from herding.routing.policies import Policies, RoutingSettings
from herding.routing.record import Record
from herding.values import Call, Message


def test_the_check() -> None:
    assert ends_with("Done.\n", ".") is None
    assert ends_with("Done", ".") == "does not end with '.'"


def test_the_loader() -> None:
    assert read_properties(b"# no\na = 1\n", "app") == "# app\n\na is 1"


async def test_the_source(tmp_path: Path) -> None:
    (tmp_path / "app.properties").write_text("a = 1\nb = two words\n")
    arguments = {"path": str(tmp_path / "app.properties"), "name": "b"}
    assert await load_plugins().value("property", SourceCall(arguments)) == "two words"


def test_the_filters() -> None:
    assert without_words("Fine.", ["cheap"]) == "Fine."
    with pytest.raises(RefusedError, match="cheap"):
        without_words("Cheap!", ["cheap"])
    assert MaskDigits(None).feed("call 112") == "call ###"


def test_the_policy() -> None:
    policies = Policies(Record(), Random(1), lambda: 0, load_plugins())
    choice = policies.choose("p", ["a", "b"], RoutingSettings(policy="first_good"), busy={})
    assert (choice.policy, choice.order[1:]) == ("first_good", ("b",) if choice.order[0] == "a" else ("a",))
    assert "has a quality of" in choice.why


async def test_herding_finds_all_of_it(tmp_path: Path) -> None:
    plugins = load_plugins()
    (info,) = [info for info in plugins.infos if info.name == "example"]
    assert (info.state, info.package, info.problem) == ("loaded", "herding-example", None)
    assert info.provides == (
        "node kind reverse",
        "check ends_with",
        "loader .properties",
        "variable source property",
        "response filter without_words",
        "response filter mask_digits",
        "routing policy first_good",
    )
    (tmp_path / "nodes.yaml").write_text("nodes:\n  - {kind: reverse, name: mirror}\n")
    nodes = catalog.build(catalog.read_herd(tmp_path / "nodes.yaml", plugins), BuildContext(secret=lambda _: None))
    call = Call("1", "reverse", (Message("user", "abc"),))
    assert [chunk.text async for chunk in nodes["mirror"].stream(call)] == ["cba", ""]
