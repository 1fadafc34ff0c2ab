"""The kinds of node, and the nodes file.

A new kind is a module with a config and a node class, its config here, and a case in the shared contract test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, field_validator

from herding import yaml_files
from herding.errors import ConfigError
from herding.nodes.base import BuildContext, Node, NodeConfig, RemoteConfig
from herding.nodes.echo import EchoConfig
from herding.nodes.herding import HerdingConfig
from herding.nodes.local import LocalConfig
from herding.nodes.openai import OpenAIConfig
from herding.nodes.template import TemplateConfig
from herding.yaml_files import StrictModel

AnyConfig = LocalConfig | HerdingConfig | OpenAIConfig | TemplateConfig | EchoConfig

KINDS: dict[str, type[NodeConfig]] = {
    get_args(config.model_fields["kind"].annotation)[0]: config for config in get_args(AnyConfig)
}

REMOTE_KINDS: dict[str, type[RemoteConfig]] = {
    kind: config for kind, config in KINDS.items() if issubclass(config, RemoteConfig)
}
"""The kinds that can be added while Herding runs."""


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


def read_herd(path: Path) -> Herd:
    """Read the nodes file at `path`; raise ConfigError with line and key of an error."""
    source = yaml_files.read(path)
    herd = source.build(Herd, _with_written_queries(source))
    nodes: list[AnyConfig] = []
    for number, node in enumerate(herd.nodes):
        try:
            nodes.append(node.with_paths_from(path.parent) if isinstance(node, LocalConfig) else node)
        except ConfigError as error:
            raise source.error(error.reason, ("nodes", number, "models")) from None
    return herd.model_copy(update={"nodes": nodes})


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
    return {config.name: config.create(context) for config in herd.nodes}
