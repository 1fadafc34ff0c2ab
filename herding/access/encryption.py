"""Secrets of others at rest: encrypted, and bound to the place that they were given for."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class Cipher:
    """Closes and opens secrets with AES-256-GCM, under a key of its own that HKDF derives from the signing key.

    What was closed for one place opens for no other: the place is authenticated with it.
    """

    def __init__(self, key: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"herding secrets of nodes").derive(key)
        self._cipher = AESGCM(derived)

    def close(self, given: Mapping[str, str], place: str) -> bytes:
        """Secrets by name, as bytes that tell nothing but their length."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, json.dumps(dict(given)).encode(), place.encode())

    def open(self, sealed: bytes, place: str) -> dict[str, str] | None:
        """What was closed for `place`; None where it was for another, with another key, or was tampered with."""
        try:
            text = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            return None
        found: dict[str, str] = json.loads(text)
        return found
