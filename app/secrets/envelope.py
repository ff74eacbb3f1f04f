"""The envelope around one secret value.

A fresh data key seals the JSON with XChaCha20-Poly1305; the additional data names the strategy and
the column, so that a ciphertext moved to another row or column does not open. The data key itself
is sealed to the runners' public key.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nacl import bindings, exceptions
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.utils import random

_KEY_BYTES = bindings.crypto_aead_xchacha20poly1305_ietf_KEYBYTES
_NONCE_BYTES = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_TAG_BYTES = bindings.crypto_aead_xchacha20poly1305_ietf_ABYTES
_PAD_BYTES = 256
_ALTERED = "the sealed value was altered or moved; deploy it again"


class EnvelopeError(Exception):
    """A sealed value does not open: wrong key, wrong row, altered. Says nothing of its content."""


@dataclass(frozen=True)
class Sealed:
    """What the database holds of one secret value."""

    ciphertext: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    wrapped_key: bytes = field(repr=False)
    key_id: str


@dataclass(frozen=True)
class Wrapped:
    """A data key, sealed for a key pair."""

    key: bytes = field(repr=False)
    key_id: str


class Sealer:
    """Closes envelopes with a public key of 32 bytes, given in base64."""

    def __init__(self, public_key: str) -> None:
        key = PublicKey(base64.b64decode(public_key))
        self._box = SealedBox(key)
        self.key_id = key_id(key)

    def seal(self, value: Any, *, strategy_id: str, column: str) -> Sealed:
        """Seal a JSON value for this strategy and column."""
        data_key = random(_KEY_BYTES)
        nonce = random(_NONCE_BYTES)
        ciphertext = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            _padded(json.dumps(value).encode()), _bound_to(strategy_id, column), nonce, data_key
        )
        return Sealed(ciphertext, nonce, self._box.encrypt(data_key), self.key_id)


class Opener:
    """Opens envelopes with any of several private keys, given in base64, newest first."""

    def __init__(self, private_keys: Iterable[str]) -> None:
        keys = [PrivateKey(base64.b64decode(key)) for key in private_keys]
        self._boxes = {key_id(key.public_key): SealedBox(key) for key in keys}
        self._newest = keys[0].public_key

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of its keys, newest first."""
        return tuple(self._boxes)

    @property
    def newest_public_key(self) -> str:
        """The public half of the newest key, in base64."""
        return base64.b64encode(bytes(self._newest)).decode()

    def open(self, sealed: Sealed, *, strategy_id: str, column: str) -> Any:
        """The JSON value.

        Raises:
            EnvelopeError: the key is not among ours, or the value is not what was sealed here.
        """
        data_key = self._unwrap(sealed.wrapped_key, sealed.key_id)
        try:
            plain = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed.ciphertext, _bound_to(strategy_id, column), sealed.nonce, data_key
            )
        except (exceptions.CryptoError, TypeError, ValueError):
            # The cause is left out on purpose: nothing of the value may reach a log.
            raise EnvelopeError(_ALTERED) from None
        return json.loads(plain)

    def rewrap(self, wrapped_key: bytes, key_id: str) -> Wrapped | None:
        """A data key as sealed for the newest of our keys; None when it is that already.

        The value that it sealed stays as it is, and is not looked at.

        Raises:
            EnvelopeError: the key is not among ours, or the data key was altered.
        """
        newest = self.key_ids[0]
        if key_id == newest:
            return None
        data_key = self._unwrap(wrapped_key, key_id)
        return Wrapped(SealedBox(self._newest).encrypt(data_key), newest)

    def _unwrap(self, wrapped_key: bytes, key_id: str) -> bytes:
        box = self._boxes.get(key_id)
        if box is None:
            raise EnvelopeError(
                f"sealed for key {key_id}, which is not in CREDENTIAL_ENCRYPTION_KEY; "
                "add that key or deploy the strategy again"
            )
        try:
            return box.decrypt(wrapped_key)
        except (exceptions.CryptoError, TypeError, ValueError):
            raise EnvelopeError(_ALTERED) from None


def key_id(public_key: PublicKey) -> str:
    """16 hexadecimal digits that name a key pair without telling anything of it."""
    return hashlib.blake2b(bytes(public_key), digest_size=8).hexdigest()


def generate_key_pair() -> tuple[str, str]:
    """A new private key and its public half, both in base64."""
    private = PrivateKey.generate()
    encode = base64.b64encode
    return encode(bytes(private)).decode(), encode(bytes(private.public_key)).decode()


def plain_bytes(ciphertext: bytes) -> int:
    """The size of what a ciphertext was made of: a multiple of 256, but for old ones."""
    return len(ciphertext) - _TAG_BYTES


def _padded(text: bytes) -> bytes:
    """JSON with blanks behind it: a ciphertext is as long as its text, and must not tell it."""
    return text + b" " * (-len(text) % _PAD_BYTES)


def _bound_to(strategy_id: str, column: str) -> bytes:
    return f"{strategy_id}\x00{column}".encode()
