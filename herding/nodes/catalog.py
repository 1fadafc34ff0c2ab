"""The kinds of node, and the nodes file.

A new kind is a module with a config and a node class, its config here, and a case in the shared contract test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, field_validator

from herding import yaml_files
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
    return yaml_files.read(path).build(Herd)


def build(herd: Herd, context: BuildContext) -> dict[str, Node]:
    """Return the nodes by name, not started."""
    return {config.name: config.create(context) for config in herd.nodes}
