"""The text of a prompt file, changed where the prompt says something else now; the rest of it stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from herding import yaml_files
from herding.prompts import merging
from herding.prompts.model import Prompt
from herding.prompts.reading import build
from herding.prompts.yaml_dump import dump_file


def rewritten(key: str, text: str, data: Mapping[str, Any]) -> str:
    """The YAML of a prompt, changed where it says something else than `data`; ConfigError where it is none."""
    file = Path(f"{key}.yaml")
    return changed(text, file, build(yaml_files.Source(text), file, key).prompt, dict(data))


def is_dumped(text: str) -> bool:
    """Whether a text is the dump of its data, without anything that somebody put there."""
    return merging.plain(text).strip() == dump_file(yaml_files.Source(text).data).strip()


def changed(text: str, file: Path, known: Prompt, wanted: dict[str, Any]) -> str:
    """`text`, which is the prompt `known`, where `wanted` is to be."""
    raw = yaml_files.Source(text, file=file).data
    return merging.merged(text, merging.settled(raw, known.worded, wanted))
