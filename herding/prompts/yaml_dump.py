"""Writes prompts as readable YAML: texts as blocks, keys in a fixed order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

ORDER = (
    *(
        "name",
        "description",
        "tags",
        "label",
        "chat",
        "roles",
        "cors",
        "alias",
        "target_models",
        "version",
        "variables",
        "retrieval",
        "steps",
    ),
    *("messages", "prompt", "templates", "variants", "parameters", "param", "filters", "checks", "routing"),
)
"""The keys of a prompt file in their order, including those of the older format."""

_FIRST_KEYS = {
    "variables": ("type", "default"),
    "messages": ("role", "content"),
    "variants": ("name", "when"),
    "steps": ("name", "prompt"),
}
_ODD_BREAK = re.compile("[\r\x85\u2028\u2029]")
_LINE = 100


class _Dumper(yaml.SafeDumper):
    """Writes long texts and texts of several lines as literal blocks, short lists in one line, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 (PyYAML's)
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (PyYAML's)
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text or len(text) > 60 else None
    if _ODD_BREAK.search(text):  # only double quotes keep these apart from line ends
        style = '"'
    if style and not text.strip():  # a block of white space would be invisible
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, items: Sequence[Any]) -> yaml.SequenceNode:
    plain = not any(isinstance(item, list | tuple | dict) or "\n" in str(item).strip() for item in items)
    short = plain and sum(len(repr(item)) + 2 for item in items) < _LINE
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)


def dump(data: Any) -> str:
    """Return plain data as YAML."""
    return yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)


def dump_file(data: Mapping[str, Any]) -> str:
    """Return the data of a prompt, valid or not, as the text of its file."""
    return dump({key: _order_value(key, value) for key, value in _sort_keys(data, ORDER).items()})


def _order_value(key: str, value: Any) -> Any:
    """Return the value of `key` with its own keys in order."""
    first = _FIRST_KEYS.get(key)
    if first is None:
        return value
    if isinstance(value, Mapping):
        return {name: _order_item(item, first) for name, item in value.items()}
    return [_order_item(item, first) for item in value] if isinstance(value, list) else value


def _order_item(item: Any, first: Sequence[str]) -> Any:
    if not isinstance(item, Mapping):
        return item
    return {
        key: _order_value(key, value) if key == "messages" else value for key, value in _sort_keys(item, first).items()
    }


def _sort_keys(data: Mapping[str, Any], first: Sequence[str]) -> dict[str, Any]:
    """Return `data` with the keys `first` in front."""
    return {key: data[key] for key in (*(name for name in first if name in data), *data) if key in data}
