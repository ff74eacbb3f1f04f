"""Changes to secrets that whoever makes them cannot read: sealed layers over a sealed base.

The web tier holds no key that opens what it stored, so it cannot merge a change into it. It seals
the change by itself, bound to its place in the row; a runner opens all of them and merges.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.secrets.envelope import EnvelopeError, Opener, Sealed, Sealer, plain_bytes

MOST_LAYERS = 32
MOST_BYTES = 65_536
"""Names and values of one strategy's secrets, in all."""


def seal_layer(
    sealer: Sealer, change: Mapping[str, str | None], *, strategy_id: str, number: int
) -> dict[str, str]:
    """One change as JSON for the row; `number` counts from 1, a None removes its name."""
    sealed = sealer.seal(dict(change), strategy_id=strategy_id, column=_column(number))
    return {
        "ciphertext": b64encode(sealed.ciphertext).decode(),
        "nonce": b64encode(sealed.nonce).decode(),
        "wrapped_key": b64encode(sealed.wrapped_key).decode(),
        "key_id": sealed.key_id,
    }


def open_secrets(
    opener: Opener, base: Sealed | None, layers: Sequence[Mapping[str, str]], *, strategy_id: str
) -> dict[str, str]:
    """Base and layers, merged in their order.

    Raises:
        EnvelopeError: one of them does not open, stands in another place than it was made for, or
            all of them together are above `MOST_BYTES`.
    """
    opened: dict[str, str | None] = {}
    if base is not None:
        opened |= opener.open(base, strategy_id=strategy_id, column="secrets")
    for number, layer in enumerate(layers, start=1):
        opened |= opener.open(_sealed(layer), strategy_id=strategy_id, column=_column(number))
    secrets = {name: value for name, value in opened.items() if value is not None}
    size = sum(len(name) + len(value.encode()) for name, value in secrets.items())
    if size > MOST_BYTES:
        raise EnvelopeError(
            f"the secrets have {size} bytes in all since they were changed; at most {MOST_BYTES} "
            "are allowed: remove some, or deploy it again"
        )
    return secrets


def layers_bytes(layers: Sequence[Mapping[str, str]]) -> int:
    """The size of all layers; one that was altered counts for nothing, and opens nowhere."""
    return sum(_plain_bytes(layer) for layer in layers)


def _plain_bytes(layer: Mapping[str, str]) -> int:
    try:
        return plain_bytes(_sealed(layer).ciphertext)
    except EnvelopeError:
        return 0


@dataclass(frozen=True)
class RewrappedLayers:
    """Layers with their data keys sealed for the newest key.

    Attributes:
        data_keys: how many of them were sealed for another one.
        is_unreadable: one of them does not open; it is as it was.
    """

    layers: list[dict[str, str]]
    data_keys: int
    is_unreadable: bool


def rewrap_layers(opener: Opener, layers: Sequence[Mapping[str, str]]) -> RewrappedLayers:
    """Seal the data key of each layer for the newest of the opener's keys."""
    changed: list[dict[str, str]] = []
    data_keys, is_unreadable = 0, False
    for layer in layers:
        made = dict(layer)
        try:
            sealed = _sealed(layer)
            new = opener.rewrap(sealed.wrapped_key, sealed.key_id)
        except EnvelopeError:
            new, is_unreadable = None, True
        if new is not None:
            made |= {"wrapped_key": b64encode(new.key).decode(), "key_id": new.key_id}
            data_keys += 1
        changed.append(made)
    return RewrappedLayers(changed, data_keys, is_unreadable)


def _sealed(layer: Mapping[str, Any]) -> Sealed:
    try:
        parts = {name: b64decode(layer[name]) for name in ("ciphertext", "nonce", "wrapped_key")}
        return Sealed(**parts, key_id=layer["key_id"])
    except (KeyError, TypeError, ValueError):
        raise EnvelopeError("a change to the secrets was altered; deploy it again") from None


def _column(number: int) -> str:
    return f"secrets.{number}"
