"""What is the same for all apps of a process and takes long to make: made once for all tests."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import Any
from unittest.mock import patch

import httpx
from httpx._transports import default as transport
from sqlalchemy import Dialect, UpdateBase

from herding import main
from herding.plugins import Plugins
from herding.store import store, writer
from herding.store.writer import RowWriter
from herding.yaml_files import YamlDocument

TEXTS = 1_000
"""Texts whose parsed YAML is kept."""


@contextmanager
def made_once() -> Iterator[None]:
    """Let apps share the plugins that were found, the statements that were made, and the YAML that was parsed.

    All HTTP clients share the certificate authorities that they trust, which take 20 ms to read.

    These stay as they are once they are made. A test that installs plugins changes where Python looks for them, and so
    they are looked for anew.
    """
    find, places = cache(main.load_plugins), list(sys.path)
    writers: dict[tuple[UpdateBase, str], RowWriter] = {}

    def load_plugins(off: Sequence[str] = ()) -> Plugins:
        return find(tuple(off)) if sys.path == places else find.__wrapped__(off)

    def row_writer(statement: UpdateBase, dialect: Dialect) -> RowWriter:
        key = statement, dialect.name
        if key not in writers:
            writers[key] = RowWriter(statement, dialect)
        return writers[key]

    with (
        patch.object(main, "load_plugins", load_plugins),
        patch.object(store, "_statements", cache(store._statements)),
        patch.object(writer, "RowWriter", row_writer),
        patch.object(YamlDocument, "_read", _remembering(YamlDocument._read)),
        patch.object(transport, "create_ssl_context", _ssl_context),
    ):
        yield


_authorities = cache(httpx.create_ssl_context)


def _ssl_context(
    verify: ssl.SSLContext | str | bool = True, cert: Any = None, trust_env: bool = True
) -> ssl.SSLContext:
    """The context of a client: the shared one, unless the client or the environment names other certificates."""
    if verify is True and not cert and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        return _authorities()
    return httpx.create_ssl_context(verify, cert, trust_env)


def _remembering(read: Callable[[YamlDocument, str], Any]) -> Callable[[YamlDocument, str], Any]:
    """Parse a text once: most tests write the same prompts, and YAML takes longer than all else about them."""
    known: dict[tuple[object, str], Any] = {}

    def remembered(document: YamlDocument, text: str) -> Any:
        key = document._loader, text
        if key not in known:
            if len(known) >= TEXTS:
                known.clear()
            known[key] = read(document, text)
        root, data = known[key]
        return root, deepcopy(data)

    return remembered
