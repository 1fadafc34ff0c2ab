"""Run the engine: announce the port, then load the models while the API already responds."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys

from herding.engine.options import check_secret, parse_options
from herding.engine.parent import exit_with_parent
from herding.errors import ConfigError

_SWITCH_SECONDS = 0.0005
"""The longest time the worker thread may keep the interpreter while the event loop waits for it."""


def main() -> None:
    """Run until SIGTERM, SIGINT, or the end of the parent process."""
    options = parse_options()
    try:
        secret = check_secret(os.environ.pop("HERDING_NODE_SECRET", ""), options.host)
    except ConfigError as error:
        sys.stderr.write(error.message + "\n")
        sys.exit(2)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if options.exit_with_parent:
        exit_with_parent()
    sys.setswitchinterval(_SWITCH_SECONDS)
    listener = _bind(options.host, options.port)
    _announce(listener)

    from herding.engine.api import serve  # imported after the announcement, because it takes a while

    serve(listener, options, secret=secret)
    os._exit(0)  # the worker threads of the libraries would keep the process alive


def _bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; connections wait in its backlog until the server accepts them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only for TCP
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    return listener


def _announce(listener: socket.socket) -> None:
    """Write the port and the process id to stdout as one line of JSON."""
    port = listener.getsockname()[1]
    sys.stdout.write(json.dumps({"port": port, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
