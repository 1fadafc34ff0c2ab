"""The kinds of node, and the herd as the nodes file gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import Field, field_validator

from herding import yaml_files
from herding.nodes.base import Node
from herding.nodes.echo import EchoConfig, EchoNode
from herding.nodes.herding import HerdingConfig, HerdingNode
from herding.nodes.local import LocalConfig, LocalNode
from herding.nodes.openai import OpenAIConfig, OpenAINode
from herding.nodes.template import TemplateConfig, TemplateNode
from herding.yaml_files import StrictModel

NodeConfig = Annotated[
    LocalConfig | HerdingConfig | OpenAIConfig | TemplateConfig | EchoConfig, Field(discriminator="kind")
]
RemoteConfig = HerdingConfig | OpenAIConfig | TemplateConfig
"""Nodes on other machines: those that can be added at run time."""

Secret = Callable[[str], str | None]
"""The secret that a configuration refers to by its name."""


class Herd(StrictModel):
    """The nodes file: a list of nodes with different names."""

    nodes: list[NodeConfig] = Field(default_factory=list)

    @field_validator("nodes")
    @classmethod
    def _names_differ(cls, nodes: list[NodeConfig]) -> list[NodeConfig]:
        names = [node.name for node in nodes]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two nodes have the name '{twice}'")
        return nodes


def read_herd(path: Path) -> Herd:
    """The nodes file at `path`; ConfigError names line and key of what is wrong."""
    return yaml_files.read(path).build(Herd)


def build(herd: Herd, *, secret: Secret, node_secret: str | None) -> dict[str, Node]:
    """A node for each entry, by name; none of them has started."""
    return {config.name: _node(config, secret, node_secret) for config in herd.nodes}


def remote(config: RemoteConfig, *, secret: Secret, transport: httpx.AsyncBaseTransport | None = None) -> Node:
    """A node on another machine, whose requests `transport` carries; it has not started."""
    match config:
        case HerdingConfig():
            return HerdingNode(config, secret=secret, transport=transport)
        case OpenAIConfig():
            return OpenAINode(config, secret=secret, transport=transport)
        case TemplateConfig():
            return TemplateNode(config, secret=secret, transport=transport)


def _node(config: NodeConfig, secret: Secret, node_secret: str | None) -> Node:
    match config:
        case LocalConfig():
            return LocalNode(config, node_secret=node_secret)
        case EchoConfig():
            return EchoNode(config)
        case _:
            return remote(config, secret=secret)
