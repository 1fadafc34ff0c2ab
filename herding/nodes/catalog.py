"""The kinds of node, and the nodes file.

A new kind is a module with a config and a node class, its config in `AnyConfig`, and a case in the contract test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import Field, create_model, field_validator

from herding import yaml_files
from herding.errors import ConfigError
from herding.nodes.base import BuildContext, DisabledConfig, DisabledNode, Node, NodeConfig, RemoteConfig
from herding.nodes.echo import EchoConfig
from herding.nodes.herding import HerdingConfig
from herding.nodes.local import LocalConfig
from herding.nodes.openai import OpenAIConfig
from herding.nodes.plugin_node import ANY_FAILURE, guard
from herding.nodes.template import TemplateConfig
from herding.plugins import Plugins, hookimpl
from herding.yaml_files import StrictModel

AnyConfig = LocalConfig | HerdingConfig | OpenAIConfig | TemplateConfig | EchoConfig

KINDS: dict[str, type[NodeConfig]] = {
    get_args(config.model_fields["kind"].annotation)[0]: config for config in get_args(AnyConfig)
}

REMOTE_KINDS: dict[str, type[RemoteConfig]] = {
    kind: config for kind, config in KINDS.items() if issubclass(config, RemoteConfig)
}
"""The kinds that can be added while Herding runs."""


class BuiltInKinds:
    """The kinds of this package, as a plugin like any other."""

    @hookimpl
    def herding_node_kinds(self) -> list[type[NodeConfig]]:
        """Return the kinds."""
        return list(KINDS.values())


class UnavailableConfig(NodeConfig):
    """Stands for a node of an unknown kind while plugins failed to load, so that all other nodes work."""

    kind: Literal["unavailable"]
    wanted: str
    reason: str

    def build(self, context: BuildContext) -> Node:  # noqa: ARG002 (no collaborators needed)
        return DisabledNode(DisabledConfig(kind=self.wanted, name=self.name, reason=self.reason))


class Herd(StrictModel):
    """The nodes file: a list of nodes with unique names."""

    nodes: list[Annotated[AnyConfig, Field(discriminator="kind")]] = Field(default_factory=list)

    @field_validator("nodes")
    @classmethod
    def _names_are_unique(cls, nodes: list[AnyConfig]) -> list[AnyConfig]:
        names = [node.name for node in nodes]
        if duplicate := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two nodes have the name '{duplicate}'")
        return nodes


def read_herd(path: Path, plugins: Plugins | None = None) -> Herd:
    """Read the nodes file at `path`; raise ConfigError with line and key of an error.

    Its nodes are of the kinds of this package and of `plugins`. While a plugin does not load, a node of an unknown
    kind is off.
    """
    source = yaml_files.read(path)
    data = _with_written_queries(source)
    known: dict[str, type[Any]] = plugins.node_kinds if plugins else {}
    if plugins and (unloaded := plugins.unloaded):
        data = _without_unknown_kinds(data, {**KINDS, **known}, "; ".join(unloaded))
        known = {**known, "unavailable": UnavailableConfig}
    herd = source.build(_herd_of(known), data)
    nodes: list[AnyConfig] = []
    for number, node in enumerate(herd.nodes):
        try:
            nodes.append(node.with_paths_from(path.parent) if isinstance(node, LocalConfig) else node)
        except ConfigError as error:
            raise source.error(error.reason, ("nodes", number, "models")) from None
    return herd.model_copy(update={"nodes": nodes})


def _herd_of(more: dict[str, type[Any]]) -> type[Herd]:
    """Return the schema of a nodes file with the kinds of plugins."""
    kinds = tuple(config for kind, config in more.items() if kind not in KINDS)
    if not kinds:
        return Herd
    config: Any = Annotated[Union[(*get_args(AnyConfig), *kinds)], Field(discriminator="kind")]
    schema: type[Herd] = create_model("Herd", __base__=Herd, nodes=(list[config], Field(default_factory=list)))
    return schema


def _without_unknown_kinds(data: Any, known: dict[str, Any], problem: str) -> Any:
    """Return the data of a nodes file, with nodes of unknown kinds replaced by ones that are off."""
    nodes = data.get("nodes") if isinstance(data, dict) else None
    if not isinstance(nodes, list):
        return data
    reason = "Its kind is not known, and these plugins are not loaded: "
    made = [
        {"kind": "unavailable", "name": node.get("name"), "wanted": kind, "reason": (reason + problem)[:1_000]}
        if isinstance(node, dict) and isinstance(kind := node.get("kind"), str) and kind not in known
        else node
        for node in nodes
    ]
    return data | {"nodes": made}


def _with_written_queries(source: yaml_files.YamlDocument) -> Any:
    """Return the data of a nodes file, with the characters of the file for numbers in queries: they are texts there."""
    nodes = source.data.get("nodes") if isinstance(source.data, dict) else None
    if not isinstance(nodes, list):
        return source.data
    made = [
        node | {"query": source.data_as_written(("nodes", number, "query"))}
        if isinstance(node, dict) and "query" in node
        else node
        for number, node in enumerate(nodes)
    ]
    return source.data | {"nodes": made}


def build(herd: Herd, context: BuildContext) -> dict[str, Node]:
    """Return the nodes by name, not started."""
    return {config.name: _create(config, context) for config in herd.nodes}


def _create(config: NodeConfig, context: BuildContext) -> Node:
    """Return a node; one of a plugin that can't be made is off, and harms no other."""
    if config.kind in KINDS or isinstance(config, UnavailableConfig):
        return config.build(context)
    try:
        node: Any = config.build(context)
        if not isinstance(node, Node):
            raise TypeError(f"build returned {type(node).__name__}, not a Node")
        guard(node)
    except ANY_FAILURE as error:
        reason = f"The plugin of its kind failed: {type(error).__name__}: {error}"[:500]
        return DisabledNode(DisabledConfig(kind=config.kind, name=config.name, reason=reason))
    return node
