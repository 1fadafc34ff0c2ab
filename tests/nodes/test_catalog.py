"""The nodes file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from herding.errors import ConfigError, UserError
from herding.nodes import catalog
from herding.nodes.added_models import AddedModels
from herding.nodes.base import ON_DEMAND, BuildContext, Node, RemoteConfig
from herding.nodes.echo import EchoConfig
from herding.nodes.local import LocalConfig, LocalNode
from herding.nodes.small_models import SMALL_MODELS
from herding.nodes.spec import read_spec

ROOT = Path(__file__).resolve().parents[2]
ECHO = "  - {kind: echo, name: a}\n"


def refused(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "nodes.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        catalog.read_herd(path)
    return caught.value


def test_the_shipped_file_needs_no_key_and_no_network() -> None:
    herd = catalog.build(catalog.read_herd(ROOT / "config" / "nodes.yaml"), BuildContext(secret=lambda _: None))
    assert {name: node.kind for name, node in herd.items()} == {
        "local": "local",
        "huggingface": "openai",
        "together": "openai",
    }
    assert [node.serves for node in herd.values()] == [(), (), ()]
    assert herd["local"].expects == ("herding/cria", "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert set(herd["local"].expects) <= set(herd["local"].offers)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (f"nodes:\n{ECHO}{ECHO}", 1, "two nodes have the name 'a'"),
        ("nodes:\n  - {kind: magic, name: a}\n", 2, "magic"),
        ("nodes:\n  - {name: a}\n", 2, "kind"),
        ("nodes:\n  - {kind: echo}\n", 2, "missing"),
        ("nodes:\n  - {kind: echo, name: a, speed: 3}\n", 2, "not known"),
        ("nodes:\n  - kind: echo\n    name: a\n    deadlines:\n      total: 0\n", 5, "greater"),
        ("nodes:\n  - kind: openai\n    name: a\n    base_url: http://x\n    models: []\n", 2, "at least 1"),
        ("nodes:\n  - {kind: openai, name: a, base_url: 'http://x'}\n", 2, "models, embedding_models or rerank_models"),
        ("nodes:\n  - {kind: echo, name: a, deadlines: {idle: .inf}}\n", 2, "finite"),
        ("nodes:\n  - {kind: openai, name: a, base_url: 'http://x', models: [m], api_key: secret}\n", 2, "not known"),
        ("nodes:\n  - {kind: openai, name: a, base_url: 'http://①⓪.0.0.1', models: [m]}\n", 2, "invalid host"),
        ("nodes:\n  - {kind: herding, name: a, base_url: 'http://xn--a'}\n", 2, "invalid host"),
        ("herd: []\n", 1, "not known"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    error = refused(tmp_path, text)
    assert error.line == line
    assert words in error.reason


def test_a_file_that_is_missing_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        catalog.read_herd(tmp_path / "none.yaml")


def test_a_node_may_have_models_for_embeddings_only(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text("nodes:\n  - {kind: openai, name: a, base_url: 'http://x', embedding_models: [e]}\n")
    node = catalog.build(catalog.read_herd(path), BuildContext(secret=lambda _: None))["a"]
    assert (node.serves, node.embeds) == ((), ("e",))


async def test_engines_and_templates_come_from_the_file_with_secrets_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(
        "nodes:\n"
        "  - {kind: herding, name: far, base_url: 'http://10.0.0.5:8100/', secret_env: FAR}\n"
        "  - {kind: template, name: any, models: [m], url: 'http://10.0.0.5/x', body: '{USER_PROMPT}',\n"
        "     headers: {X-Key: '{SECRET:A}'}, secrets: {A: MY_KEY}}\n"
        "  - {kind: openai, name: hosted, base_url: 'http://10.0.0.5/v1', models: [m], concurrency: 3}\n"
        "  - {kind: echo, name: echo}\n  - {kind: local, name: local}\n"
    )
    herd = catalog.build(catalog.read_herd(path), BuildContext(secret={"MY_KEY": "x"}.get))
    assert [node.kind for node in herd.values()] == ["herding", "template", "openai", "echo", "local"]
    assert [node.concurrency for node in herd.values()] == [8, 16, 3, None, 8]
    assert (await herd["far"].status()).detail == "Set FAR to the engine's secret to enable this node."
    assert herd["any"].serves == ("m",)
    for node in herd.values():
        await node.close()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("nodes:\n  - {kind: herding, name: a, base_url: 'ftp://x'}\n", 2, "http"),
        ("nodes:\n  - kind: template\n    name: a\n    models: [m]\n    url: http://x\n", 2, "USER_PROMPT"),
        ("nodes:\n  - {kind: echo, name: a, concurrency: 0}\n", 2, "greater"),
    ],
)
def test_a_mistake_of_the_other_kinds_is_named_too(tmp_path: Path, text: str, line: int, words: str) -> None:
    error = refused(tmp_path, text)
    assert error.line == line
    assert words in error.reason


def test_a_local_node_has_resident_models_and_paths_with_names(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text(
        "nodes:\n  - kind: local\n    name: local\n    resident: [herding/cria, ./a.gguf, own/b=models/b]\n"
        "    models: [owner/c, d=/models/d]\n    memory: 1.5 GB\n    keep_alive: null\n    auto_switch: null\n"
    )
    (config,) = catalog.read_herd(file).nodes
    assert isinstance(config, LocalConfig)
    assert config.initial == ("herding/cria", "a", "own/b")
    assert config.paths == {"a": f"{tmp_path}/a.gguf", "own/b": f"{tmp_path}/models/b", "d": "/models/d"}
    assert (config.memory, config.keep_alive, config.auto_switch) == (1_500_000_000, None, None)
    node = config.build(BuildContext(secret=lambda _: None))
    assert node.offers == ("herding/cria", "a", "own/b", "owner/c", "d")
    file.write_text("nodes:\n  - {kind: local, name: local, model: owner/x}\n")
    (config,) = catalog.read_herd(file).nodes
    assert isinstance(config, LocalConfig)
    assert config.initial == ("owner/x",)
    assert config.auto_switch == ON_DEMAND


@pytest.mark.parametrize("memory", ["much", "-1GB", "0", "8 parsecs"])
def test_a_memory_that_is_no_size_is_refused(tmp_path: Path, memory: str) -> None:
    error = refused(tmp_path, f"nodes:\n  - {{kind: local, name: a, memory: {memory}}}\n")
    assert "write it like 8GB" in error.reason


def test_the_models_to_choose_from_are_sorted_and_need_more_memory_than_their_download() -> None:
    sizes = [model.download for model in SMALL_MODELS]
    assert sizes == sorted(sizes)
    assert all(model.memory > model.download for model in SMALL_MODELS)
    assert len({model.id for model in SMALL_MODELS}) == len(SMALL_MODELS) >= 10


def test_a_path_that_was_added_is_offered_after_a_restart(tmp_path: Path) -> None:
    config = LocalConfig(kind="local", name="local")
    AddedModels(tmp_path / "models" / "local.json").add("mine", "/models/my=model")
    node = LocalNode(config, directory=tmp_path / "models")
    assert node.offers == ("herding/cria", "mine")
    assert "mine=/models/my=model" in node._command()


def test_a_model_of_the_hub_that_was_added_is_offered_after_a_restart(tmp_path: Path) -> None:
    config = LocalConfig(kind="local", name="local")
    node = LocalNode(config, directory=tmp_path / "models")
    assert node.offers == ("herding/cria",)
    added = AddedModels(tmp_path / "models" / "local.json")
    added.add("someone/new", None)
    added.add("someone/new", None)
    assert LocalNode(config, directory=tmp_path / "models").offers == ("herding/cria", "someone/new")
    (tmp_path / "models" / "local.json").write_text("{damaged")
    assert LocalNode(config, directory=tmp_path / "models").offers == ("herding/cria",)


class OpenConfig(RemoteConfig):
    """A kind that asks for no secret."""

    kind: Literal["open"]
    base_url: str

    def build(self, context: BuildContext) -> Node:
        return EchoConfig(kind="echo", name=self.name).build(context)


def test_a_kind_without_a_secret_is_added_and_refuses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.REMOTE_KINDS, "open", OpenConfig)
    fields = {"kind": "open", "name": "a", "base_url": "http://127.0.0.1:9"}
    assert read_spec(fields, {}).url == "http://127.0.0.1:9"
    with pytest.raises(UserError, match="take no secret"):
        read_spec(fields, {"SECRET": "0123456789"})
