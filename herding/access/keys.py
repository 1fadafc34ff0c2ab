"""The key that all other secrets of ours hang on."""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from herding.errors import ConfigError

KEY_BYTES = 32


def signing_key(home: Path, secret: str | None = None) -> bytes:
    """The key for cookies and for hashes of tokens: from `secret`, else 32 random bytes in the data directory.

    The file is made at first use and readable by us only. Several instances on one database need the same secret.
    """
    if secret:
        return sha256(secret.encode()).digest()
    path = home / "secret.key"
    try:
        key = _kept(path)
    except OSError as error:
        raise ConfigError(f"the key cannot be kept here: {error.strerror}", file=path) from None
    if len(key) < KEY_BYTES:
        raise ConfigError("this key is not whole; delete the file to get a new one (tokens end with it)", file=path)
    return key


def _kept(path: Path) -> bytes:
    """The key in a file, which is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 (a descriptor)
            file.write(secrets.token_bytes(KEY_BYTES))
    except FileExistsError:
        pass
    return path.read_bytes()


def derived(key: bytes, purpose: str) -> bytes:
    """A key for one purpose: what leaks of one says nothing about another."""
    return hmac.new(key, purpose.encode(), sha256).digest()
