"""Reads the older format of prompt files.

In it, `variables` is a list of one-key maps (name: default), `prompt` is raw text, and `param` holds sampling
parameters with the names of transformers' `generate`. One file may hold several prompts under their keys.
"""

from __future__ import annotations

from typing import Any

from herding.yaml_files import FieldError

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
    """Return whether a file holds several prompts under their keys."""
    return isinstance(data, dict) and bool(data) and all(isinstance(v, dict) and "prompt" in v for v in data.values())


def convert(data: dict[str, Any], texts: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return `data` in the present format, and a note for each part of it that is ignored. Raises FieldError.

    `texts` is the same data with every scalar as the characters of the file.
    """
    new, notes = dict(data), list[str]()
    if isinstance(data.get("variables"), list):
        new["variables"] = _variables(data["variables"], texts["variables"])
    if "param" in data:
        new["parameters"], notes = _parameters(new.pop("param") or {})
    if "version" in data:
        new.pop("version")
        notes.append("'version' is ignored: versions are numbered by their content")
    return new, notes


def _variables(entries: list[Any], texts: list[Any]) -> dict[str, Any]:
    """Merge one-key maps into one map. Every default is the text of the file."""
    variables: dict[str, Any] = {}
    for entry, text in zip(entries, texts, strict=True):
        if not isinstance(text, str | dict):
            raise FieldError("each variable must be a map of its name to its default", "variables")
        named: dict[str, Any] = entry if isinstance(text, dict) else {text: None}
        for name, default in named.items():
            if name in variables:
                raise FieldError(f"the variable '{name}' is given twice", "variables")
            if isinstance(default, list | dict):
                message = "the default of a variable must be a text; put quotes around it"
                raise FieldError(message, "variables")
            written = "" if default is None else text[name] if isinstance(text, dict) else ""
            variables[name] = {"type": "text", "default": written}
    return variables


def _parameters(param: Any) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(param, dict):
        raise FieldError("'param' must be a map of parameters", "param")
    known = {_RENAMED[name]: value for name, value in param.items() if name in _RENAMED}
    if param.get("do_sample") is False:
        known["temperature"] = 0
    ignored = [name for name in param if name not in _RENAMED and name != "do_sample"]
    return known, [f"parameter '{name}' is not supported and is ignored" for name in ignored]
