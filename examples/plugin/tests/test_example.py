"""Tests of the example: its own functions, and what Herding makes of them. Run with pytest where both are installed."""

from __future__ import annotations

from pathlib import Path

from herding_example.checks import ends_with
from herding_example.loaders import read_properties

from herding.main import load_plugins
from herding.nodes import catalog
from herding.nodes.base import BuildContext
from herding.values import Call, Message


def test_the_check() -> None:
    assert ends_with("Done.\n", ".") is None
    assert ends_with("Done", ".") == "does not end with '.'"


def test_the_loader() -> None:
    assert read_properties(b"# no\na = 1\n", "app") == "# app\n\na is 1"


async def test_herding_finds_all_of_it(tmp_path: Path) -> None:
    plugins = load_plugins()
    (info,) = [info for info in plugins.infos if info.name == "example"]
    assert (info.state, info.package, info.problem) == ("loaded", "herding-example", None)
    assert info.provides == ("node kind reverse", "check ends_with", "loader .properties")
    (tmp_path / "nodes.yaml").write_text("nodes:\n  - {kind: reverse, name: mirror}\n")
    nodes = catalog.build(catalog.read_herd(tmp_path / "nodes.yaml", plugins), BuildContext(secret=lambda _: None))
    call = Call("1", "reverse", (Message("user", "abc"),))
    assert [chunk.text async for chunk in nodes["mirror"].stream(call)] == ["cba", ""]
