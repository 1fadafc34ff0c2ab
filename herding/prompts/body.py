"""The body of a prompt as YAML text for an editor: texts as readable blocks."""

from __future__ import annotations

from typing import Any

import yaml

from herding.prompts.model import Body


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines, and long ones, as literal blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 (PyYAML's)
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    block = "\n" in text or len(text) > 60
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else None)


_Dumper.add_representer(str, _text)


def dump_body(body: Body) -> str:
    """`messages`, `prompt` or `variants` of a prompt as YAML that `parse_body` reads back to the same."""
    data: dict[str, Any] = body.model_dump(include={"messages", "prompt", "variants"}, exclude_none=True)
    if "variants" in data:
        data["variants"] = [{"name": v["name"], "when": v["when"], **v} for v in data["variants"]]
    return yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)
