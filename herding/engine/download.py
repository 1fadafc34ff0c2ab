"""Models from the hub, with progress in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from herding.engine.progress import Bar, Fraction, Report
from herding.engine.refusals import LoadError

_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_FOLDERS = ["*/*"]


def download(model: str, report: Report) -> Path:
    """The local directory of `model`; fetches what is missing, and only files that cannot carry code."""
    fraction = Fraction("downloading", report)
    try:
        files = snapshot_download(model, allow_patterns=_WANTED, ignore_patterns=_FOLDERS, dry_run=True)
        total = sum(file.file_size or 0 for file in files if file.will_download)
        path = snapshot_download(
            model, allow_patterns=_WANTED, ignore_patterns=_FOLDERS, tqdm_class=_meter(fraction, total)
        )
    except (OSError, ValueError) as error:
        raise LoadError(f"'{model}' could not be downloaded: {error}") from error
    return Path(path)


def _meter(fraction: Fraction, total: int) -> Any:
    """A progress bar class that reports the share of the `total` bytes that are on disk."""

    class Meter(Bar):
        def __init__(self, *items: Any, **options: Any) -> None:
            on_disk = str(options.get("desc", "")).startswith("Reconstructing")
            super().__init__(lambda n, _: fraction(n, total) if on_disk else None, *items, **options)

    return Meter
