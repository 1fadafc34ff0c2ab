"""Start the engine: announce the port first, then load the model while HTTP answers already."""

from __future__ import annotations

import logging
import os
import socket
import sys

from herding.engine.options import Options, check_secret, parse_options
from herding.engine.process import announce, bind, exit_with_parent
from herding.errors import ConfigError

_SWITCH_SECONDS = 0.0005
"""How long the worker may keep the interpreter while the event loop waits for it."""


def main() -> None:
    """Run until SIGTERM, SIGINT, or the end of the parent."""
    options = parse_options()
    try:
        secret = check_secret(os.environ.pop("HERDING_NODE_SECRET", ""), options.host)
    except ConfigError as error:
        sys.exit(_refuse(error))
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if options.exit_with_parent:
        exit_with_parent()
    sys.setswitchinterval(_SWITCH_SECONDS)
    listener = bind(options.host, options.port)
    announce(listener)
    _serve(listener, options, secret)
    os._exit(0)  # the library's worker threads would hold the process


def _refuse(error: ConfigError) -> int:
    sys.stderr.write(error.message + "\n")
    return 2


def _serve(listener: socket.socket, options: Options, secret: str) -> None:
    from herding.engine.server import serve  # only now: the port is announced already

    serve(listener, options, secret=secret)


if __name__ == "__main__":
    main()
