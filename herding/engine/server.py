"""The HTTP server on a socket that is bound already."""

from __future__ import annotations

import socket

import uvicorn

from herding.engine.api import build_app
from herding.engine.engine import Engine
from herding.engine.offers import Offers, parse_offer
from herding.engine.options import Options
from herding.engine.runtime import Runtime
from herding.engine.system import System

_MAX_CONNECTIONS = 1024


def serve(listener: socket.socket, options: Options, *, secret: str) -> None:
    """Serve until a signal ends it; open streams get one second then."""
    first = [parse_offer(options.model)] if options.model else []
    engine = Engine(
        offers=Offers([*first, *options.offers]),
        opener=Runtime(options),
        max_active=options.max_active,
        max_waiting=options.max_waiting,
        drain_seconds=options.drain_seconds,
    )
    config = uvicorn.Config(
        build_app(engine, System(), secret=secret, model=options.model),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])
