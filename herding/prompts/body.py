"""The body of a prompt as YAML text for an editor: texts as readable blocks."""

from __future__ import annotations

import re
from typing import Any

import yaml

from herding.prompts.model import Body

_ODD_BREAK = re.compile("[\r\x85\u2028\u2029]")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines, and long ones, as literal blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 (PyYAML's)
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text or len(text) > 60 else None
    if _ODD_BREAK.search(text):  # only in double quotes are these kept apart from the end of a line
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump_body(body: Body) -> str:
    """`messages`, `prompt` or `variants` of a prompt as YAML that `parse_body` reads back to the same."""
    data: dict[str, Any] = body.model_dump(include={"messages", "prompt", "variants"}, exclude_none=True)
    if "variants" in data:
        data["variants"] = [{"name": v["name"], "when": v["when"], **v} for v in data["variants"]]
    return yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)
