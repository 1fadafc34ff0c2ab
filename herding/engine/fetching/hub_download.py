"""Downloads a model of the hub into its cache, file by file, so that a download that broke off is continued."""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

from herding.engine.errors import LoadError, MemoryBudgetError
from herding.engine.fetching.hub_cache import PART, HubCache
from herding.engine.progress import ProgressBar, Report, StageProgress
from herding.values.sizes import format_size

_FILE_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"[\w.-]+")

_PIECE = 256 * 1024
"""Bytes that are written at a time, so that progress is steady and little is lost when a download breaks off."""

_FREE_DISK = 200 * 2**20
"""Bytes of the disk that a download leaves free."""


def download(model: str, report: Report, *, cache: HubCache, max_weights: int | None = None) -> Path:
    """Return the directory of a model of the hub; download missing files, except those that can contain code.

    A model that is complete on this machine is used without asking the hub. Weights of more than `max_weights` bytes
    are refused before anything is downloaded. The hub's library begins a file anew after a kill, so files are written
    here; it then finds them in its cache.
    """
    from filelock import FileLock

    if found := cache.complete(model):
        return found
    try:
        commit, files = _list_files(model)
    except Exception:
        if found := cache.perhaps_complete(model):
            return found  # the hub can't tell more about it now
        raise
    _check_files(model, files, max_weights)
    folder = cache.folder(model)
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    report("waiting for another download", None)
    with FileLock(folder / ".herding.lock"):
        if found := cache.complete(model):
            return found
        total = sum(size for _, size, _ in files)
        _check_disk(model, folder, missing=total - cache.size(model))
        cache.begin(model, total)
        progress, done = StageProgress("downloading", report), 0
        for name, size, digest in sorted(files, key=lambda file: file[1]):
            on_size = functools.partial(_report_sum, progress, done, total)
            _download_file(model, name, commit=commit, digest=digest, blobs=blobs, on_size=on_size)
            done += size
        snapshot = _link(model, commit, [name for name, _, _ in files], cache)
        cache.finish(model, snapshot)
        return snapshot


def _list_files(model: str) -> tuple[str, list[tuple[str, int, str | None]]]:
    """Return the commit of a model, and its files with their sizes and, of large ones, their SHA-256."""
    from huggingface_hub import HfApi, hf_api

    api = HfApi()
    commit = api.model_info(model).sha
    if commit is None:
        raise LoadError(f"The hub names no version of '{model}'.")
    found = [file for file in api.list_repo_tree(model, revision=commit) if isinstance(file, hf_api.RepoFile)]
    files = [(file.path, file.size, file.lfs.sha256 if file.lfs else None) for file in found]
    return commit, _wanted(model, files)


def _wanted(model: str, files: Sequence[tuple[str, int, str | None]]) -> list[tuple[str, int, str | None]]:
    """Return the files to download: of weights that come in two forms, those that the library reads."""
    wanted = [file for file in files if any(fnmatch(file[0], pattern) for pattern in _FILE_PATTERNS)]
    names = [name for name, _, _ in wanted]
    if not any(name.endswith(".safetensors") for name in names):
        raise LoadError(_other_weights(model, [name for name, _, _ in files]))
    if any(fnmatch(name, "model*.safetensors") for name in names):
        return [file for file in wanted if not file[0].endswith(".safetensors") or file[0].startswith("model")]
    return wanted


def _other_weights(model: str, names: Sequence[str]) -> str:
    """Return why the files of a model can't be used."""
    if packed := [name for name in names if name.lower().endswith(".gguf")]:
        shown = ", ".join(packed[:3]) + (f" and {len(packed) - 3} more" if len(packed) > 3 else "")
        return f"'{model}' has GGUF files only ({shown}). Download one of them, and load it by its path."
    if "adapter_config.json" in names:
        return f"'{model}' is an adapter. Load the model that it was merged into."
    if pickled := [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]:
        return f"'{model}' has only pickled weights ({pickled[0]}), which can run code. Choose one with safetensors."
    return f"'{model}' has no weights (*.safetensors) at the hub. Choose another model."


def _check_files(model: str, files: Sequence[tuple[str, int, str | None]], max_weights: int | None) -> None:
    weights = sum(size for name, size, _ in files if name.endswith(".safetensors"))
    if max_weights is not None and weights > max_weights:
        raise MemoryBudgetError(
            f"'{model}' has weights of {format_size(weights)}, and the models of this node may take "
            f"{format_size(max_weights)}. Choose a smaller model, or give the node more memory."
        )


def _check_disk(model: str, folder: Path, *, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if missing + _FREE_DISK > free:
        raise LoadError(
            f"Not enough disk space for '{model}': {format_size(missing)} are to be downloaded, and "
            f"{format_size(free)} are free at {folder.parent}. Free some space, then load it again."
        )


def _report_sum(progress: StageProgress, done: int, total: int, size: int) -> None:
    progress(done + size, total)


def _download_file(
    model: str, name: str, *, commit: str, digest: str | None, blobs: Path, on_size: Callable[[int], None]
) -> None:
    """Write a file of the hub to the directory of its cache under its tag; continue one that was broken off."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils._headers import build_hf_headers

    constants.DOWNLOAD_CHUNK_SIZE = _PIECE
    url = file_download.hf_hub_url(model, name, revision=commit)
    facts = file_download.get_hf_file_metadata(url)
    if facts.etag is None or not _ETAG.fullmatch(facts.etag):
        raise LoadError(f"The hub gives no usable ETag for {name} of '{model}'.")
    target, part = blobs / facts.etag, blobs / f"{facts.etag}{PART}"
    if target.exists():
        return
    have = part.stat().st_size if part.exists() else 0
    if facts.size is not None and have > facts.size:
        part.unlink()
        have = 0
    on_size(have)

    class Bar(ProgressBar):
        def __init__(self, *items: Any, **options: Any) -> None:
            super().__init__(lambda count, _total: on_size(have + int(count)), *items, **options)

    with part.open("ab") as output:
        headers = build_hf_headers()
        file_download.http_get(
            url, output, resume_size=have, headers=headers, expected_size=facts.size, tqdm_class=cast(Any, Bar)
        )
    expected = digest or (facts.etag if _SHA256.fullmatch(facts.etag) else None)
    if expected and expected != _sha256(part):
        part.unlink()
        raise LoadError(f"{name} of '{model}' arrived damaged and was removed. Load the model again.")
    part.replace(target)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _link(model: str, commit: str, names: Sequence[str], cache: HubCache) -> Path:
    """Return the directory of the downloaded files, which the hub's library makes."""
    from huggingface_hub import snapshot_download

    exact = ["".join(f"[{sign}]" if sign in "*?[" else sign for sign in name) for name in names]
    path = snapshot_download(
        model,
        revision=commit,
        allow_patterns=exact,
        cache_dir=cache.directory,
        tqdm_class=cast(Any, _SilentBar),
    )
    main = cache.folder(model) / "refs" / "main"
    main.parent.mkdir(exist_ok=True)
    main.write_text(commit)
    return Path(path)


class _SilentBar(ProgressBar):
    def __init__(self, *items: Any, **options: Any) -> None:
        super().__init__(lambda _count, _total: None, *items, **options)
