"""Downloads or converts one model in a process of its own, which can be killed at any moment.

    python -m herding.engine.fetch_program download OWNER/NAME
    python -m herding.engine.fetch_program convert FILE.gguf DIRECTORY

Writes its progress to stdout as lines of JSON: `stage` and `fraction`, and as the last one `path` or `error`. A
download that was killed is continued by the next one. A conversion that was killed leaves no directory.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from herding.engine.parent import exit_with_parent
from herding.engine.progress import ProgressBar, StageProgress

_FILE_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_SUBFOLDERS = ["*/*"]
_SHA256_CHARS = 64
"""The length of the tag of a large file, which is its checksum."""

_FREE_DISK = 200 * 2**20
"""Bytes of the disk that a download leaves free."""


def main() -> None:
    """Do what the command line says, and exit when the parent process ends."""
    exit_with_parent()
    output, sys.stdout = sys.stdout, sys.stderr  # libraries print what they like
    command, source = sys.argv[1:3]

    def write(line: dict[str, Any]) -> None:
        output.write(json.dumps(line) + "\n")
        output.flush()

    def report(stage: str, fraction: float | None) -> None:
        write({"stage": stage, "fraction": fraction})

    try:
        path = download(source, report) if command == "download" else convert(Path(source), Path(sys.argv[3]), report)
        write({"path": str(path)})
    except Exception as error:  # noqa: BLE001  the reader must receive the reason, whatever it is
        write({"error": _reason(error, source)})
        os._exit(1)
    os._exit(0)


def download(model: str, report: Any) -> Path:
    """Return the local directory of a hub model; download missing files, except those that can contain code.

    The library begins a file anew after a kill, so files are written here; it then finds them in its cache.
    """
    from filelock import FileLock
    from huggingface_hub import constants, file_download, snapshot_download

    progress = StageProgress("downloading", report)
    found = snapshot_download(model, dry_run=True, allow_patterns=_FILE_PATTERNS, ignore_patterns=_SUBFOLDERS)
    files = [file for file in found if file.will_download]
    total = sum(file.file_size or 0 for file in files)
    folder = Path(constants.HF_HUB_CACHE) / file_download.repo_folder_name(repo_id=model, repo_type="model")
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".herding.lock"):
        have = sum(part.stat().st_size for part in blobs.glob("*.part"))
        free = shutil.disk_usage(folder).free + have
        if total + _FREE_DISK > free:
            raise OSError(f"it has {total / 1e9:.1f} GB, and the disk with {folder} has {free / 1e9:.1f} GB free")
        done = 0
        for file in sorted(files, key=lambda file: file.file_size or 0):
            url = file_download.hf_hub_url(model, file.filename, revision=file.commit_hash)
            _download_file(url, blobs, functools.partial(_report_sum, progress, done, total))
            done += file.file_size or 0
        path = snapshot_download(
            model, tqdm_class=cast(Any, _SilentBar), allow_patterns=_FILE_PATTERNS, ignore_patterns=_SUBFOLDERS
        )
        return Path(path)


def _report_sum(progress: StageProgress, done: int, total: int, size: int) -> None:
    progress(done + size, total)


def _download_file(url: str, blobs: Path, on_size: Callable[[int], None]) -> None:
    """Write a file of the hub to the directory of its cache under its tag; continue one that was broken off."""
    from huggingface_hub import file_download
    from huggingface_hub.utils._headers import build_hf_headers

    facts = file_download.get_hf_file_metadata(url)
    if facts.etag is None:
        raise OSError(f"the server tells no ETag for {url}")
    target, part = blobs / facts.etag, blobs / f"{facts.etag}.part"
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
    if len(facts.etag) == _SHA256_CHARS and facts.etag != _sha256(part):
        part.unlink()
        raise OSError("a downloaded file was damaged and is removed; load the model again")
    part.replace(target)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class _SilentBar(ProgressBar):
    def __init__(self, *items: Any, **options: Any) -> None:
        super().__init__(lambda _count, _total: None, *items, **options)


def convert(file: Path, target: Path, report: Any) -> Path:
    """Unpack the weights of a GGUF file to bfloat16 in the directory `target`, unless that is there already.

    The directory appears complete or not at all. Another process that converts the same file is waited for.
    """
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    report("converting", None)
    with FileLock(f"{target}.lock"):
        if target.is_dir():
            return target
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
        _unpack(file, part, report)
        for saved in part.iterdir():
            _sync(saved)
        part.rename(target)
        _sync(target.parent)
    return target


def _unpack(file: Path, directory: Path, report: Any) -> None:
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, modeling_gguf_pytorch_utils
    from transformers.utils import logging

    # The library reads the file three times and makes the map of names for each layer: half a minute for a small model.
    gguf.GGUFReader = functools.cache(gguf.GGUFReader)  # type: ignore[assignment, misc]
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)
    progress = StageProgress("converting", report)
    vars(modeling_gguf_pytorch_utils)["tqdm"] = functools.partial(ProgressBar, progress)
    logging.set_tqdm_hook(lambda _factory, items, options: ProgressBar(lambda *_: None, *items, **options))
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.bfloat16,
        local_files_only=True,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_UNREACHABLE = {
    "OfflineModeIsEnabled",
    "LocalEntryNotFoundError",
    "DryRunError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
}


def _reason(error: BaseException, source: str) -> str:
    """Return what went wrong in a few words, and what to do."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    names = {type(cause).__name__ for cause in causes}
    if "GatedRepoError" in names:
        return f"'{source}' needs an accepted license. Accept it at the hub, and set HF_TOKEN."
    if "RepositoryNotFoundError" in names:
        return f"The hub has no model '{source}', or HF_TOKEN can't read it. Check the id."
    if names & _UNREACHABLE:
        return f"Can't download '{source}': the hub can't be reached. Check the network, or give the path of a copy."
    if source.lower().endswith(".gguf"):
        return f"Can't read {source} as GGUF. The file may be damaged. {type(error).__name__}: {error}"
    return f"Can't download '{source}': {error}"


if __name__ == "__main__":
    main()
