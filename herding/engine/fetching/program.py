"""Downloads or converts one model in a process of its own, which can be killed at any moment.

    python -m herding.engine.fetching.program download OWNER/NAME [--own DIRECTORY] [--max-weights BYTES]
    python -m herding.engine.fetching.program convert FILE.gguf DIRECTORY

Writes its progress to stdout as lines of JSON: `stage` and `fraction`, and as the last one `path`, or `error` and
`error_type`. A download that was killed is continued by the next one. A conversion that was killed leaves no directory.
"""

from __future__ import annotations

import argparse
import errno
import functools
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from herding.engine.errors import LoadError
from herding.engine.fetching.hub_cache import HubCache
from herding.engine.fetching.hub_download import download
from herding.engine.parent import exit_with_parent
from herding.engine.progress import ProgressBar, Report, StageProgress
from herding.values.model_paths import GGUF


def main() -> None:
    """Do what the command line says, and exit when the parent process ends."""
    exit_with_parent()
    output, sys.stdout = sys.stdout, sys.stderr  # libraries print what they like
    command, source, *rest = sys.argv[1:]

    def write(line: dict[str, Any]) -> None:
        output.write(json.dumps(line) + "\n")
        output.flush()

    def report(stage: str, fraction: float | None) -> None:
        write({"stage": stage, "fraction": fraction})

    try:
        if command == "download":
            path = _download(source, rest, report)
        else:
            path = convert(Path(source), Path(rest[0]), report)
        write({"path": str(path)})
    except Exception as error:  # noqa: BLE001  the reader must receive the reason, whatever it is
        write({"error": reason_of(error, source), "error_type": getattr(error, "type", LoadError.type)})
        os._exit(1)
    os._exit(0)


def _download(model: str, options: Sequence[str], report: Report) -> Path:
    """Download a model into the directory `--own`, or into the one that all programs share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--own", type=Path)
    parser.add_argument("--max-weights", type=int)
    given = parser.parse_args(options)
    return download(model, report, cache=HubCache(given.own), max_weights=given.max_weights)


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
        try:
            _unpack(file, part, report)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
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
    "ConnectError",
    "ConnectTimeout",
    "ConnectionError",
    "ProxyError",
}
_BROKEN_OFF = {"ReadError", "ReadTimeout", "RemoteProtocolError", "WriteError"}


def reason_of(error: BaseException, source: str) -> str:
    """Return what went wrong in a few words, and what to do."""
    if isinstance(error, LoadError):
        return error.message
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    if any(isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT) for cause in causes):
        return f"The disk is full while '{source}' was written. Free some space, then load it again."
    if source.lower().endswith(GGUF):
        return _gguf_reason(Path(source), error)
    return _hub_reason(causes, source)


def _hub_reason(causes: Sequence[BaseException], model: str) -> str:
    names = {type(cause).__name__ for cause in causes}
    status = next((code for cause in causes if (code := _status(cause)) is not None), None)
    has_token = bool(os.environ.get("HF_TOKEN"))
    token = "The token in HF_TOKEN does not open it." if has_token else "Set HF_TOKEN to a token of that account."
    if "GatedRepoError" in names:
        return f"'{model}' is gated (HTTP {status}). Accept its license on its page at the hub. {token}"
    if status == 401 and has_token and "RepositoryNotFoundError" not in names:
        return f"The hub refuses the token in HF_TOKEN (HTTP 401), so '{model}' can't be downloaded. Set a valid token."
    if status in (401, 403):
        return (
            f"The hub has no public model '{model}' (HTTP {status}). Check the id. If it is gated or private: {token}"
        )
    if "RepositoryNotFoundError" in names:
        return f"The hub has no model '{model}'. Check the id. For a directory on this machine, enter ./{model}."
    if status is not None:
        return f"Can't download '{model}': the hub answered HTTP {status}. Try again later."
    if names & _UNREACHABLE:
        return f"Can't download '{model}': the hub can't be reached. Check the network, or give the path of a copy."
    if names & _BROKEN_OFF or "Consistency check failed" in str(causes[0]):
        return f"The download of '{model}' broke off. Load it again: it goes on where it stopped."
    return f"Can't download '{model}': {causes[0]}"


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error of the hub's library."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _gguf_reason(file: Path, error: BaseException) -> str:
    if "not supported" in str(error):
        return f"{file} has an architecture that transformers does not read from GGUF: {error}"
    return f"Can't read {file} as GGUF. The file may be damaged. {type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
