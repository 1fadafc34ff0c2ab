"""Reads the older form of prompt files.

There, `variables` is a list of one-key maps (name: default), `prompt` is raw text, and sampling parameters stand
under `param` with the names of transformers' `generate`. One file may hold several prompts under their keys.
"""

from __future__ import annotations

from typing import Any

from herding.yaml_files import PlacedError

_RENAMED = {
    "max_new_tokens": "max_tokens",
    "stop_words": "stop",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop": "stop",
    "seed": "seed",
}


def is_collection(data: Any) -> bool:
    """Whether the file holds several prompts under their keys."""
    return isinstance(data, dict) and bool(data) and all(isinstance(v, dict) and "prompt" in v for v in data.values())


def modernise(data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`data` in today's form, and a note for each thing of the older form that has no place today.

    PlacedError where it is in neither form.
    """
    new, notes = dict(data), list[str]()
    if isinstance(data.get("variables"), list):
        new["variables"] = _variables(data["variables"])
    if "param" in data:
        new["parameters"], notes = _parameters(new.pop("param") or {})
    if "version" in data:
        new.pop("version")
        notes.append("'version' is ignored: versions are numbered by their content")
    return new, notes


def _variables(entries: list[Any]) -> dict[str, Any]:
    """One-key maps as one map; a default of any plain kind becomes the text it was."""
    variables: dict[str, Any] = {}
    for entry in entries:
        named = {entry: None} if isinstance(entry, str) else entry
        if not isinstance(named, dict):
            raise PlacedError("each variable is a map of its name to its default", "variables")
        for name, default in named.items():
            if name in variables:
                raise PlacedError(f"the variable '{name}' is given twice", "variables")
            variables[name] = _variable(default)
    return variables


def _variable(default: Any) -> dict[str, Any]:
    if isinstance(default, list | dict):
        raise PlacedError("the default of a variable is a text", "variables")
    return {"type": "text", "default": "" if default is None else str(default)}


def _parameters(param: Any) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(param, dict):
        raise PlacedError("'param' is a map of parameters", "param")
    known = {_RENAMED[name]: value for name, value in param.items() if name in _RENAMED}
    if param.get("do_sample") is False:
        known["temperature"] = 0
    ignored = [name for name in param if name not in _RENAMED and name != "do_sample"]
    return known, [f"parameter '{name}' is not supported and is ignored" for name in ignored]
