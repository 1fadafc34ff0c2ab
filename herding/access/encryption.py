"""Encryption of the secrets of nodes at rest, bound to the node and host that they are for."""

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
    """Encrypts secrets with AES-256-GCM, under a key that HKDF derives from the signing key.

    The `context` is authenticated: secrets that were encrypted for one cannot be decrypted for another.
    """

    def __init__(self, key: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"herding secrets of nodes").derive(key)
        self._cipher = AESGCM(derived)

    def encrypt(self, given: Mapping[str, str], context: str) -> bytes:
        """Return secrets by name as bytes, which reveal only their length."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, json.dumps(dict(given)).encode(), context.encode())

    def decrypt(self, sealed: bytes, context: str) -> dict[str, str] | None:
        """Return secrets by name; None if they are for another context or key, or were changed."""
        try:
            text = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            return None
        found: dict[str, str] = json.loads(text)
        return found
