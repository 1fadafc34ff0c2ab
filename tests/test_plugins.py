"""Plugins of other packages: found, named when they fail, switched off; and what they add, in use."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from herding.errors import ConfigError, HerdingError, UserError
from herding.knowledge.documents import kind_of, loader_of, register_loaders
from herding.knowledge.parsing.sandbox import parse
from herding.main import load_plugins
from herding.nodes import catalog
from herding.nodes.base import BuildContext
from herding.orchestrator import built_in
from herding.plugins import Plugins, hookimpl
from herding.prompts.checks import Checks, judge
from herding.routing.policies import BUILT_IN
from herding.ui.nodes.card import card
from herding.values import PluginInfo, Request
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import echo

ROOT = Path(__file__).resolve().parents[1]
GOOD = """
    from herding.plugins import hookimpl

    @hookimpl
    def herding_checks():
        return {"polite": lambda text, argument: None if "please" in text else "not polite"}
    """


def hook(name: str, result: str) -> str:
    """The source of a plugin with one hook."""
    return GOOD.replace("herding_checks", name).replace("return {", f"return {result} #")


BROKEN = {
    "raises": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "missing": ("import a_package_that_is_not_there", "No module named 'a_package_that_is_not_there'"),
    "syntax": ("def (", "SyntaxError"),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "hangs": ("import time; time.sleep(60)", "took longer than"),
    "empty": ("x = 1", "implements none of the hooks"),
    "newer": (GOOD + "\n    herding_api = 2", "written for version 2 of the hooks; this is version 1"),
    "unknown": (GOOD.replace("herding_checks", "herding_chekcs"), "herding_chekcs is not a hook"),
    "wrong_type": (GOOD.replace("return {", "return 5 #"), "herding_checks returned int"),
    "not_callable": (GOOD.replace("return {", "return {'x': 5} #"), "'x' is not a function"),
    "hook_raises": (GOOD.replace("return {", "raise ValueError('x') #"), "ValueError: x"),
    "hook_exits": (GOOD.replace("return {", "raise SystemExit #"), "SystemExit"),
    "no_kind": (
        GOOD.replace("herding_checks", "herding_node_kinds").replace("return {", "return [int] #"),
        "is not a NodeConfig",
    ),
    "taken": (
        "from herding.nodes.echo import EchoConfig\n"
        + textwrap.dedent(GOOD)
        .replace("herding_checks", "herding_node_kinds")
        .replace("return {", "return [EchoConfig] #"),
        "there is a node kind echo already, of the plugin 'herding'",
    ),
    "taken_ending": (
        GOOD.replace("herding_checks", "herding_document_loaders")
        .replace("return {", "return {'PDF': hookspec} #")
        .replace("import hookimpl", "import hookimpl, SourceCall as hookspec"),
        "there is a loader .pdf already",
    ),
    "lambda_loader": (
        GOOD.replace("herding_checks", "herding_document_loaders").replace("return {", "return {'x': lambda *_: ''} #"),
        "a loader must be a function of a module",
    ),
    "no_stream_filter": (hook("herding_response_filters", "{'x': int}"), "'x' is not a function or a StreamFilter"),
    "filters_list": (hook("herding_response_filters", "['x']"), "herding_response_filters returned list"),
    "sources_none": (
        hook("herding_variable_sources", "{'x': None}"),
        "herding_variable_sources: 'x' is not a function",
    ),
    "taken_source": (
        hook("herding_variable_sources", "{'now': str}"),
        "there is a variable source now already, of the plugin 'herding'",
    ),
    "taken_policy": (
        hook("herding_routing_policies", "{'stars': str}"),
        "there is a routing policy stars already, of the plugin 'herding'",
    ),
    "taken_check": (hook("herding_checks", "{'regex': str}"), "there is a check regex already"),
    "async_policy": (
        hook("herding_routing_policies", "{'x': x}") + "\n    async def x(query): ...",
        "'x' is a coroutine function",
    ),
}

Install = Callable[..., None]
OWN = Plugins(built_in=built_in())
"""Without any plugin of another package."""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install packages with one plugin each, as an installer leaves them on the disk."""
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(str(packages))

    def install(name: str, source: str) -> None:
        (packages / f"plugin_{name}.py").write_text(textwrap.dedent(source))
        info = packages / f"plugin_{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: package-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[herding.plugins]\n{name} = plugin_{name}\n")
        monkeypatch.delitem(sys.modules, f"plugin_{name}", raising=False)

    return install


def loaded(seconds: float = 5.0, off: tuple[str, ...] = ()) -> Plugins:
    plugins = Plugins(off=off, built_in=built_in(), load_seconds=seconds)
    plugins.load()
    return plugins


async def test_a_plugin_is_found_and_what_it_adds_is_named(install: Install) -> None:
    install("good", GOOD)
    plugins = loaded()
    assert plugins.infos == (PluginInfo("good", "package-good", "1.2", "loaded", ("check polite",)),)
    assert await plugins.check("polite", "please", None) == (True, None)
    assert await plugins.check("polite", "now", None) == (False, "not polite")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_and_harms_no_other(install: Install, name: str) -> None:
    source, problem = BROKEN[name]
    install(name, source)
    install("good", GOOD)
    plugins = loaded(seconds=0.5 if name == "hangs" else 5.0)
    infos = {info.name: info for info in plugins.infos}
    assert (infos[name].state, infos[name].package) == ("failed", f"package-{name}")
    assert problem in (infos[name].problem or "")
    assert infos["good"].state == "loaded"
    assert set(plugins.checks) == {"polite", *OWN.checks}
    assert plugins.node_kinds.keys() == catalog.KINDS.keys()


DAMAGED = {
    "no equals sign": ("entry_points.txt", b"[herding.plugins]\nx\n", "damaged"),
    "no text": ("entry_points.txt", b"\xff\xfe", "damaged"),
    "no metadata": ("METADATA", b"\xff\xfe", None),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_package_with_damaged_files_is_named_and_harms_no_other(install: Install, tmp_path: Path, name: str) -> None:
    file, content, problem = DAMAGED[name]
    install("x", GOOD.replace("polite", "kind"))
    install("good", GOOD)
    (tmp_path / "packages" / "plugin_x-1.2.dist-info" / file).write_bytes(content)
    infos = {info.name.rpartition("/")[2]: info for info in loaded().infos}
    assert infos["good"].state == "loaded"
    if problem:
        assert problem in (infos["plugin_x-1.2.dist-info"].problem or "")
    else:
        assert infos["x"].state == "loaded"


def test_a_plugin_is_switched_off_by_its_name_or_its_package(install: Install) -> None:
    install("good", GOOD)
    for name in ("good", "package-good"):
        plugins = loaded(off=(name,))
        assert [info.state for info in plugins.infos] == ["off"]
        assert plugins.checks == OWN.checks


async def test_a_check_that_fails_gives_no_verdict() -> None:
    class Bad:
        @hookimpl
        def herding_checks(self) -> dict[str, Callable[..., object]]:
            import time

            def exits(text: str, argument: object) -> None:
                sys.exit(1)

            return {"exits": exits, "hangs": lambda *_: time.sleep(30), "types": lambda *_: 5, "args": lambda: None}

    plugins = Plugins(call_seconds=0.2)
    plugins.register(Bad(), "bad")
    for name, words in (
        ("exits", "SystemExit: 1"),
        ("hangs", "took longer than"),
        ("types", "returned int"),
        ("args", "TypeError"),
    ):
        ok, reason = await plugins.check(name, "text", None)
        assert ok is None
        assert reason is not None
        assert reason.startswith(f"the check '{name}' of the plugin 'bad' failed: ")
        assert words in reason
    assert await plugins.check("ghost", "text", None) == (None, "the check 'ghost' is not installed")


def test_the_own_checks_leave_those_of_plugins_alone() -> None:
    assert judge(Checks(plugins={"polite": True}), "text", marker_seen=False).ok is None
    assert judge(Checks(plugins={"polite": True}, max_words=5), "text", marker_seen=False).ok is True


async def test_checks_of_plugins_judge_responses(tmp_path: Path, install: Install) -> None:
    install("good", GOOD)
    async with herding(tmp_path, echo()) as place:
        assert [info.name for info in await place.orchestrator.nodes.plugins(ADMIN)] == ["good"]
        for key, checks in (
            ("polite", "{plugins: {polite: true}}"),
            ("both", "{max_words: 2, plugins: {polite: true}}"),
            ("ghost", "{max_words: 9, plugins: {ghost: 1}}"),
        ):
            place.write(
                key,
                f"""
                name: {key}
                target_models: [echo]
                variables: {{text: {{}}}}
                checks: {checks}
                messages: [{{role: user, content: "{{{{text}}}}"}}]
                """,
            )
        assert await _judged(place, "polite", "come please") == (True, None)
        assert await _judged(place, "polite", "come") == (False, "polite: not polite")
        assert await _judged(place, "both", "please come now") == (False, "3 words (max 2)")
        assert await _judged(place, "ghost", "come") == (None, "the check 'ghost' is not installed")


async def _judged(place: Place, prompt: str, text: str) -> tuple[bool | None, str | None]:
    outcome = await place.orchestrator.pipeline.run(Request(prompt, {"text": text}), ADMIN)
    return outcome.checks.ok, outcome.checks.reason


def herd(tmp_path: Path, text: str) -> Path:
    (tmp_path / "nodes.yaml").write_text(textwrap.dedent(text))
    return tmp_path / "nodes.yaml"


NODES = """
    nodes:
      - {kind: echo, name: echo}
      - {kind: mirror, name: mirror}
    """
MIRROR = """
    from typing import Literal
    from herding.nodes.base import NodeConfig
    from herding.nodes.echo import EchoConfig, EchoNode
    from herding.plugins import hookimpl

    class MirrorConfig(NodeConfig):
        kind: Literal["mirror"]

        def build(self, context):
            node = EchoNode(EchoConfig(kind="echo", name=self.name))
            async def status():
                raise SystemError("no mirror")
            node.status = node.start = status
            return node

    @hookimpl
    def herding_node_kinds():
        return [MirrorConfig]
    """


async def test_a_node_of_a_plugin_works_beside_the_others_and_harms_none(tmp_path: Path, install: Install) -> None:
    install("mirror", MIRROR)
    nodes = catalog.build(catalog.read_herd(herd(tmp_path, NODES), loaded()), BuildContext(secret=lambda _: None))
    assert list(nodes) == ["echo", "mirror"]
    await nodes["mirror"].start()
    status = await nodes["mirror"].status()
    assert (status.state, status.detail) == (
        "down",
        "The plugin of its kind failed: status failed: SystemError: no mirror",
    )


async def test_a_node_that_can_not_be_made_is_off(tmp_path: Path, install: Install) -> None:
    install(
        "mirror",
        MIRROR.replace(
            "            node = EchoNode", "            raise OSError('no glass')\n            node = EchoNode"
        ),
    )
    nodes = catalog.build(catalog.read_herd(herd(tmp_path, NODES), loaded()), BuildContext(secret=lambda _: None))
    status = await nodes["mirror"].status()
    assert (status.state, status.detail) == ("off", "The plugin of its kind failed: OSError: no glass")
    assert nodes["echo"].serves == ("echo",)


ODD = """
    import asyncio
    from typing import Literal
    from herding.nodes.base import Node, NodeConfig
    from herding.plugins import hookimpl
    from herding.values import Chunk

    class OddNode(Node):
        async def stream(self, call):
            if self.mode == "exits": raise SystemExit(3)
            if self.mode == "cancels": raise asyncio.CancelledError
            yield {"number": 5, "usage": Chunk("x", "stop", usage=7)}.get(self.mode)

        @property
        def serves(self):
            if self.mode == "serves": raise ValueError("no list")
            return ("odd",)

        def capabilities(self, model):
            raise ValueError("no idea")

    class OddConfig(NodeConfig):
        kind: Literal["odd"]
        mode: str

        def build(self, context):
            if self.mode == "build": raise SystemExit
            node = OddNode(self)
            node.mode = self.mode
            return node

    @hookimpl
    def herding_node_kinds():
        return [OddConfig]
    """


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("exits", "Node 'odd' failed: SystemExit(3)"),
        ("cancels", "Node 'odd' failed: CancelledError()"),
        ("number", "it yielded int, not a Chunk"),
        ("usage", "a Chunk whose usage is int"),
        ("serves", "No node serves odd"),
        ("build", "No node serves odd"),
    ],
)
async def test_whatever_a_node_does_other_nodes_work(tmp_path: Path, install: Install, mode: str, error: str) -> None:
    install("odd", ODD)
    listed = herd(tmp_path, f"nodes: [{{kind: odd, name: odd, mode: {mode}}}, {{kind: echo, name: echo}}]")
    nodes = catalog.build(catalog.read_herd(listed, loaded()), BuildContext(secret=lambda _: None))
    async with herding(tmp_path, *nodes.values()) as place:
        for key in ("odd", "echo"):
            place.write(key, f"name: x\ntarget_models: [{key}]\nmessages: [{{role: user, content: hi}}]\n")
        with pytest.raises(HerdingError, match=re.escape(error)):
            await place.orchestrator.pipeline.run(Request("odd", {}), ADMIN)
        assert (await place.orchestrator.pipeline.run(Request("echo", {}), ADMIN)).status == "succeeded"
        assert "running" not in [row.status for row in await place.rows()]
        assert (await nodes["odd"].status()).state == {"serves": "down", "build": "off"}.get(mode, "ready")


MONITOR = """
    from typing import Literal
    from herding.nodes.base import Node, NodeConfig
    from herding.plugins import hookimpl
    from herding.values import Chunk

    class MonitorConfig(NodeConfig):
        label = "Monitor node"
        kind: Literal["monitor"]

        def build(self, context):
            return MonitorNode(self, models=["m"])

    class MonitorNode(Node):
        async def stream(self, call):
            yield Chunk(text="hm", finish_reason="stop")

    @hookimpl
    def herding_node_kinds():
        return [MonitorConfig]
    """


async def test_a_node_of_a_plugin_keeps_its_settings_and_the_page_names_its_kind(
    tmp_path: Path, install: Install
) -> None:
    install("monitor", MONITOR)
    entry = "{kind: monitor, name: m, concurrency: 3, prices: {m: {input: 1, output: 2}}, deadlines: {total: 5}}"
    nodes = catalog.build(
        catalog.read_herd(herd(tmp_path, f"nodes: [{entry}]"), loaded()), BuildContext(secret=lambda _: None)
    )
    node = nodes["m"]
    assert (node.kind, node.concurrency, node.deadlines.total, list(node.prices)) == ("monitor", 3, 5, ["m"])
    async with herding(tmp_path / "home", node) as place:
        (info,) = await place.orchestrator.nodes.list_all(ADMIN)
        assert (info.kind, info.label, info.concurrency) == ("monitor", "Monitor node", 3)
        assert "Monitor node" in card(info, {}, ADMIN, added=False)


async def test_a_node_whose_plugin_does_not_load_is_off(tmp_path: Path, install: Install) -> None:
    install("mirror", MIRROR + "\n    raise RuntimeError('broken')")
    nodes = catalog.build(catalog.read_herd(herd(tmp_path, NODES), loaded()), BuildContext(secret=lambda _: None))
    status = await nodes["mirror"].status()
    assert status.state == "off"
    assert "mirror: RuntimeError: broken" in (status.detail or "")
    with pytest.raises(ConfigError, match="kind"):
        catalog.read_herd(herd(tmp_path, NODES), Plugins())


LOADERS = """
    from herding.plugins import hookimpl

    def shout(content, title):
        print("a word of its own")
        return "# " + title + "\\n\\n" + content.decode().upper()

    def wrong(content, title):
        return 5

    def exits(content, title):
        raise SystemExit

    def calls(content, title):
        import socket
        socket.create_connection(("127.0.0.1", 1))

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    def odd(content, title):
        raise Odd

    def ends(content, title):
        import os
        os._exit(0)

    @hookimpl
    def herding_document_loaders():
        return {"shout": shout, ".WRONG": wrong, "exits": exits, "calls": calls, "odd": odd, "ends": ends}
    """


@pytest.mark.slow
async def test_documents_are_read_by_loaders_in_the_child_process(install: Install) -> None:
    install("loaders", LOADERS)
    register_loaders(loaded().loaders)
    try:
        assert kind_of("a/b.SHOUT") == "shout"
        assert kind_of("a.wrong") == "wrong"

        async def read(kind: str) -> list[str]:
            found = await parse(kind, b"hello", title="t", tokens=100, overlap=10, loader=loader_of(kind))
            return [chunk.text for chunk in found]

        assert "HELLO" in (await read("shout"))[0]
        for kind, words in (
            ("wrong", "returned int, not a text"),
            ("exits", "SystemExit"),
            ("calls", "not allowed"),
            ("odd", "Odd: its message can't be read"),
            ("ends", "ended without a result"),
        ):
            with pytest.raises(UserError, match=words):
                await read(kind)
    finally:
        register_loaders(OWN.loaders)
    assert kind_of("a.shout") is None


def test_the_own_parts_are_registered_by_the_hooks() -> None:
    plugins = load_plugins()
    assert plugins.node_kinds.items() >= catalog.KINDS.items()
    assert plugins.checks.keys() >= {"max_words", "max_chars", "choices", "regex", "json_schema"}
    assert plugins.loaders.keys() >= {"txt", "md", "html", "pdf", "docx", "csv", "py"}
    assert plugins.sources.keys() >= {"now", "user"}
    assert plugins.policies.keys() >= BUILT_IN.keys()
    assert {plugins.owner(what) for what in ("check regex", "loader .pdf", "routing policy stars")} == {"herding"}


@pytest.mark.slow
def test_the_example_is_installed_into_a_fresh_environment(tmp_path: Path) -> None:
    """Its own tests pass there, and `herding plugins` lists what it adds."""
    home = tmp_path / "fresh"
    venv.create(home, with_pip=False)
    (site,) = home.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if path.endswith("site-packages")]
    (site / "shared.pth").write_text("\n".join([str(ROOT), *shared]))
    source = tmp_path / "plugin"
    subprocess.run(["cp", "-r", str(ROOT / "examples" / "plugin"), str(source)], check=True)
    python = str(home / "bin" / "python")
    installing = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation", str(source)]
    done = subprocess.run(installing, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tests = [python, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", str(source / "tests")]
    done = subprocess.run(tests, check=False, capture_output=True, text=True, cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    listing = [python, "-m", "herding", "plugins"]
    done = subprocess.run(listing, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:8] == [
        "example  loaded  (herding-example 1.0.0)",
        "    node kind reverse",
        "    check ends_with",
        "    loader .properties",
        "    variable source property",
        "    response filter without_words",
        "    response filter mask_digits",
        "    routing policy first_good",
    ]
