"""The engine's command line."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from herding.engine.embeddings.files import MINILM
from herding.engine.model_files import ModelSource, parse_source
from herding.errors import ConfigError
from herding.values import SPECIALIST
from herding.values.sizes import parse_size

_RERANK_HELP = "reranker: a cross-encoder of sentence-transformers; repeatable"
_EMBED_HELP = f"embedding model (default: {MINILM}); an empty value for none"

Quantization = Literal["none", "8bit", "4bit"]
PACKED: dict[Quantization, float] = {"none": 1.0, "8bit": 0.55, "4bit": 0.35}
"""The share of the weights' memory that is left; embeddings stay as they are."""

KEEP_ALIVE_SECONDS = 1800.0
_CACHE = Path.home() / ".cache" / "herding" / "models"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one engine process; times are in seconds, `memory` in bytes.

    `models` are loaded at startup and stay loaded as long as there is room; `sources` are further models that can be
    loaded, and `added` those that can be removed from the list. `downloads` is a directory for models of the hub that
    no other program uses; None for the one that all share. `memory` is what all models together may take, None for a
    share of the machine's. `cache` is the directory for converted models.
    """

    host: str = "127.0.0.1"
    port: int = 0
    models: tuple[ModelSource, ...] = ()
    sources: tuple[ModelSource, ...] = ()
    added: tuple[ModelSource, ...] = ()
    embedding_sources: tuple[ModelSource, ...] = (ModelSource(MINILM),)
    rerank_sources: tuple[ModelSource, ...] = ()
    quantization: Quantization = "none"
    max_context: int | None = None
    max_active: int = 16
    max_waiting: int = 64
    memory: int | None = None
    keep_alive: float | None = KEEP_ALIVE_SECONDS
    cache: Path = _CACHE
    downloads: Path | None = None
    threads: int | None = None
    exit_with_parent: bool = False


def parse_options() -> Options:
    """Parse the command line; an error in it exits with code 2 and a message on stderr."""
    given = _parser().parse_args()
    models = [SPECIALIST] if given.model is None else [model for model in given.model if model]
    offered = {source.id: source for source in [*given.added, *given.offer]}
    sources = [offered.get(model) or parse_source(model) for model in models]
    return Options(
        host=given.host,
        port=given.port,
        models=tuple({source.id: source for source in sources}.values()),
        sources=tuple(given.offer),
        added=tuple(given.added),
        embedding_sources=tuple(source for source in given.embed or [_source(MINILM)] if source),
        rerank_sources=tuple(given.rerank),
        quantization=cast(Quantization, given.quantization),
        max_context=given.max_context,
        max_active=given.max_active,
        max_waiting=given.max_waiting,
        memory=given.memory,
        keep_alive=given.keep_alive or None,
        cache=given.cache,
        downloads=given.downloads,
        threads=given.threads,
        exit_with_parent=given.exit_with_parent,
    )


def check_secret(secret: str, host: str) -> str:
    """Return `secret` without surrounding whitespace; raise ConfigError if it is empty."""
    if secret := secret.strip():
        return secret
    raise ConfigError(
        f"The engine needs a secret to listen on {host}. Set the environment variable HERDING_NODE_SECRET."
    )


def default_threads() -> int:
    """Return the number of torch threads: all cores but one, which is left to the event loop and the app."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m herding.engine", description="Serve transformers models.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to bind")
    add("--port", type=int, default=0, help="port to bind; 0 picks a free port and prints it to stdout")
    add("--model", action="append", metavar="ID", help="model to load at startup; repeatable, empty for none")
    add("--offer", action="append", type=_source, default=[], metavar="ID[=PATH]", help="model to make available")
    add("--added", action="append", type=_source, default=[], metavar="ID[=PATH]", help="the same, removable")
    add("--embed", action="append", type=_optional_source, metavar="ID[=PATH]", help=_EMBED_HELP)
    add("--rerank", action="append", type=_source, default=[], metavar="ID[=PATH]", help=_RERANK_HELP)
    add("--quantization", choices=("none", "8bit", "4bit"), default="none", help="8bit and 4bit need an NVIDIA GPU")
    add("--max-context", type=_positive, help="maximum tokens of prompt and response together")
    add("--max-active", type=_positive, default=16, help="maximum responses of a model generated at the same time")
    add("--max-waiting", type=_positive, default=64, help="maximum requests in the queue")
    add("--memory", type=_size, metavar="SIZE", help="memory for all models together, such as 8GB")
    add("--keep-alive", type=float, default=KEEP_ALIVE_SECONDS, metavar="SECONDS", help=_KEEP_ALIVE)
    add("--cache", type=Path, default=_CACHE, metavar="DIRECTORY", help="directory for converted models")
    add("--downloads", type=Path, metavar="DIRECTORY", help="directory of its own for models of the hub")
    add("--drain-seconds", type=float, help=argparse.SUPPRESS)  # of older start scripts; models no longer exchange
    add("--threads", type=_positive, help="torch threads (default: all cores but one)")
    add("--exit-with-parent", action="store_true", help="exit when stdin closes")
    return parser


_KEEP_ALIVE = "time without requests after which a model that was loaded on demand is unloaded; 0 for never"


def _source(text: str) -> ModelSource:
    try:
        return parse_source(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _optional_source(text: str) -> ModelSource | None:
    return _source(text) if text else None


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
