"""Bodies encrypted at rest: AES-256-GCM, under a key made of the operator's secret.

A sealed body is, in bytes: 0x00, the format 0x01, the key's id (4), the nonce (12), the ciphertext
and its tag (16 more than the body). No JSON text starts with 0x00, so a sealed body and a plain one
lie side by side in a queue. What it belongs to (a project and a message id) is authenticated with
it: a sealed body that is put elsewhere in the store does not open.

The key's id says which secret is needed, so a new secret can seal while older ones still open.
Nonces are random: one secret is good for some 2^32 bodies before it should be replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from os import urandom
from typing import Final, Protocol

from queueing.core.errors import KeyUnavailable, SetupError

MARK: Final = 0
"""The first byte of a sealed body, and of no other."""

_FORMAT = b"\x00\x01"
_KEY_ID = 4
_NONCE = 12
_HEAD = len(_FORMAT) + _KEY_ID + _NONCE


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class Sealer:
    """Seals with the first secret, opens with any; without a secret it can do neither.

    :raises SetupError: there is a secret, but the package that encrypts is not installed
    """

    def __init__(self, *secrets: str) -> None:
        self._ciphers: dict[bytes, _Cipher] = {}
        self._open_error: type[Exception] = KeyUnavailable
        self._first = b""
        if secrets:
            cipher, self._open_error = _engine()
            for secret in reversed(secrets):
                key = hashlib.sha256(secret.encode()).digest()
                self._first = _key_id(key)
                self._ciphers[self._first] = cipher(key)

    def seal(self, body: bytes, belongs_to: bytes) -> bytes:
        """:raises KeyUnavailable: there is no secret"""
        cipher = self._ciphers.get(self._first)
        if cipher is None:
            raise KeyUnavailable(
                "The queue encrypts its messages, and no encryption key is set here."
            )
        nonce = urandom(_NONCE)
        return b"".join((_FORMAT, self._first, nonce, cipher.encrypt(nonce, body, belongs_to)))

    def open(self, sealed: bytes, belongs_to: bytes) -> bytes:
        """The body again.

        :raises KeyUnavailable: its secret is not among ours, or it was changed or moved
        """
        if sealed[: len(_FORMAT)] != _FORMAT or len(sealed) < _HEAD:
            raise KeyUnavailable(
                "A stored body is sealed in a form that this version does not know."
            )
        key_id = sealed[len(_FORMAT) : len(_FORMAT) + _KEY_ID]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyUnavailable(
                f"A stored body is encrypted with the key {key_id.hex()}, which is not set here."
            )
        try:
            return cipher.decrypt(sealed[_HEAD - _NONCE : _HEAD], sealed[_HEAD:], belongs_to)
        except self._open_error:
            # The cause is cut off: it could say something about what is encrypted.
            raise KeyUnavailable(
                f"A stored body does not open with the key {key_id.hex()} that sealed it:"
                " it was changed in the store."
            ) from None


def _key_id(key: bytes) -> bytes:
    """Names the key without telling anything about it."""
    return hashlib.sha256(b"queueing key id\x00" + key).digest()[:_KEY_ID]


def _engine() -> tuple[Callable[[bytes], _Cipher], type[Exception]]:
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise SetupError(
            "message_encryption_key is set, and encryption needs a package that is missing:"
            " pip install 'queueing[encryption]'"
        ) from None
    return AESGCM, InvalidTag
