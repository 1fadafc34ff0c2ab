"""The body of a prompt as YAML text for an editor."""

from __future__ import annotations

from typing import Any

from herding.prompts.model import Body
from herding.prompts.yaml_dump import dump


def dump_body(body: Body) -> str:
    """`messages`, `prompt`, `templates` or `variants` of a prompt as YAML that `parse_body` reads back to the same."""
    fields = {"messages", "prompt", "families", "variants"}
    data: dict[str, Any] = body.model_dump(include=fields, exclude_none=True)
    if "variants" in data:
        data["variants"] = [{"name": v["name"], "when": v["when"], **v} for v in data["variants"]]
    return dump(data)
