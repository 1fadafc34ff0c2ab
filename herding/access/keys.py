"""The signing key, from which all other keys are derived."""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from herding.errors import ConfigError

KEY_BYTES = 32


def signing_key(home: Path, secret: str | None = None) -> bytes:
    """Return the key for cookies and hashes of tokens: from `secret`, else 32 random bytes in the data directory.

    The file is created at first use, readable by this user only. Several instances on one database need the same
    secret.
    """
    if secret:
        return sha256(secret.encode()).digest()
    path = home / "secret.key"
    try:
        key = _read_or_create(path)
    except OSError as error:
        raise ConfigError(f"the key cannot be stored here: {error.strerror}", file=path) from None
    if len(key) < KEY_BYTES:
        raise ConfigError(
            "the key is too short; delete the file to create a new one (this invalidates all tokens)", file=path
        )
    return key


def _read_or_create(path: Path) -> bytes:
    """Return the key in a file, which is created if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        file = open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: PTH123, SIM115 (a descriptor)
    except FileExistsError:
        return path.read_bytes()
    try:
        with file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError:  # such as a full disk: the next start shall not find a part of a key
        path.unlink()
        raise
    return path.read_bytes()


def derive_key(key: bytes, purpose: str) -> bytes:
    """Return a key for one purpose, which reveals nothing about the others."""
    return hmac.new(key, purpose.encode(), sha256).digest()
