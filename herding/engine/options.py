"""The engine's command line."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from herding.engine.offers import CRIA, Offer, parse_offer
from herding.errors import ConfigError

Quantization = Literal["none", "8bit", "4bit"]


@dataclass(frozen=True, slots=True)
class Options:
    """How one engine process runs. Times are seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    model: str = CRIA
    offers: tuple[Offer, ...] = ()
    quantization: Quantization = "none"
    max_context: int | None = None
    max_active: int = 16
    max_waiting: int = 64
    drain_seconds: float = 60.0
    threads: int | None = None
    exit_with_parent: bool = False


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a mistake in it ends the program with code 2 and a message on stderr."""
    given = _parser().parse_args(arguments)
    return Options(
        host=given.host,
        port=given.port,
        model=given.model,
        offers=tuple(given.offer),
        quantization=cast(Quantization, given.quantization),
        max_context=given.max_context,
        max_active=given.max_active,
        max_waiting=given.max_waiting,
        drain_seconds=given.drain_seconds,
        threads=given.threads,
        exit_with_parent=given.exit_with_parent,
    )


def check_secret(secret: str, host: str) -> str:
    """`secret` without blanks around it; ConfigError where nothing is left, whatever address the engine binds to."""
    if secret := secret.strip():
        return secret
    where = "even on this machine" if is_loopback(host) else f"on {host}, which others can reach,"
    raise ConfigError(
        f"The engine does not start without a secret {where}: set the environment variable HERDING_NODE_SECRET.",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def default_threads() -> int:
    """Threads for torch: one core is left to the event loop and the app where there is more than one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m herding.engine", description="Serve one transformers model.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to bind")
    add("--port", type=int, default=0, help="port to bind; 0 takes a free one, see the line on stdout")
    add("--model", default=CRIA, help="model to load first; an empty text loads none")
    add("--offer", action="append", type=_offer, default=[], metavar="ID[=PATH]", help="a model that may be loaded")
    add("--quantization", choices=("none", "8bit", "4bit"), default="none", help="needs CUDA")
    add("--max-context", type=_positive, help="tokens of prompt and answer, at most")
    add("--max-active", type=_positive, default=16, help="answers generated at the same time")
    add("--max-waiting", type=_positive, default=64, help="requests that may wait for their turn")
    add("--drain-seconds", type=float, default=60.0, help="time that running answers get when the model changes")
    add("--threads", type=_positive, help="threads for torch; default: all cores but one")
    add("--exit-with-parent", action="store_true", help="end when stdin is closed")
    return parser


def _offer(text: str) -> Offer:
    try:
        return parse_offer(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
