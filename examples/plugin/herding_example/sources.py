"""A variable source."""

from __future__ import annotations

from pathlib import Path

from herding.plugins import SourceCall


def read_property(call: SourceCall) -> str:
    """Return the value of the property `name` in the file `path`, which are arguments in the prompt file."""
    lines = Path(call.arguments["path"]).read_text("utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return next(value.strip() for name, _, value in pairs if name.strip() == call.arguments["name"])
