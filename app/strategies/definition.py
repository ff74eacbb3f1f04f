"""What defines a strategy, and so each of its versions: the columns that both have."""

from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.secrets.envelope import Sealed, plain_bytes
from app.secrets.layers import layers_bytes

_PARTS = ("ciphertext", "nonce", "wrapped_key", "key_id")


class Definition:
    """Columns of a program, its settings, and its sealed values.

    The sealed ones are bound to the strategy, not to a version: they may be copied between the two.
    """

    runtime: Mapped[str] = mapped_column(String(16))
    entrypoint: Mapped[str] = mapped_column(String(255))
    artifact_sha256: Mapped[str] = mapped_column(ForeignKey("artifacts.sha256"), index=True)
    size_bytes: Mapped[int]
    env: Mapped[dict[str, Any]]
    manifest: Mapped[dict[str, Any]]
    placement: Mapped[dict[str, Any]]
    resources: Mapped[dict[str, Any]]
    risk: Mapped[dict[str, Any]]
    network: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    restart: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    stop: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    hooks: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    watchdog: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    schedule: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    deploy: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    secrets_ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    secrets_nonce: Mapped[bytes | None] = mapped_column(LargeBinary)
    secrets_wrapped_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    secrets_key_id: Mapped[str | None] = mapped_column(String(16))
    secrets_changes: Mapped[list[Any]] = mapped_column(server_default="[]")
    sequence_api_key_ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    sequence_api_key_nonce: Mapped[bytes | None] = mapped_column(LargeBinary)
    sequence_api_key_wrapped_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    sequence_api_key_key_id: Mapped[str | None] = mapped_column(String(16))

    def seal(self, slot: str, sealed: Sealed | None) -> None:
        """Put a sealed value, or nothing, into the four columns of `slot`."""
        for part in _PARTS:
            setattr(self, f"{slot}_{part}", getattr(sealed, part) if sealed else None)

    def sealed(self, slot: str) -> Sealed | None:
        """What the four columns of `slot` hold; None when they are empty."""
        if getattr(self, f"{slot}_ciphertext") is None:
            return None
        return Sealed(**{part: getattr(self, f"{slot}_{part}") for part in _PARTS})


def env_bytes(source: Definition) -> int:
    """Names and values of its variables."""
    return sum(len(name) + len(value.encode()) for name, value in source.env.items())


def secret_bytes(source: Definition) -> int:
    """Its secrets as they are sealed, changes in place included: nobody here can read them."""
    base = source.secrets_ciphertext
    return (plain_bytes(base) if base else 0) + layers_bytes(source.secrets_changes)


DEFINING = tuple(Definition.__annotations__)
"""The names of those columns."""


def defining(source: Definition) -> dict[str, Any]:
    """The columns of a strategy or a version that make it what it is."""
    return {name: getattr(source, name) for name in DEFINING}
