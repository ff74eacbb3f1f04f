"""How much of its strategies' logs is kept of one client, in place of the platform's settings."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clients.models import Client

DEFAULT = "default"


@dataclass(frozen=True)
class Bound:
    """One thing that can be set: its column, and what values it may have."""

    column: str
    least: float
    most: float
    is_whole: bool = True

    def parse(self, text: str) -> float | int | None:
        """The value of an argument; None for `default`.

        Raises:
            ValueError: it is none, or out of bounds.
        """
        if text == DEFAULT:
            return None
        wanted = f"{self.least:g} to {self.most:g}, or {DEFAULT!r}, not {text[:40]!r}"
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            kind = "a whole number" if self.is_whole else "a number"
            raise ValueError(f"expected {kind} from {wanted}") from None
        if not self.least <= value <= self.most:
            raise ValueError(f"expected {wanted}")
        return value


BOUNDS = {
    "days": Bound("log_kept_days", 0, 36_500, is_whole=False),
    "bytes": Bound("log_archive_max_bytes", 1 << 16, 1 << 50),
    "runs": Bound("log_runs_kept", 1, 10_000),
}
"""What can be set: the same bounds as of LOG_KEPT_DAYS, LOG_ARCHIVE_MAX_BYTES, LOG_RUNS_KEPT."""


def change(session: Session, code: str, given: dict[str, str]) -> None:
    """Set what is given, by name; `default` is the platform's setting again.

    Raises:
        ValueError: there is no such client, or a value is out of its bounds.
    """
    client = session.scalar(select(Client).where(Client.code == code).with_for_update())
    if client is None:
        raise ValueError(f"there is no client {code!r}; create-client makes one")
    for name, text in given.items():
        try:
            setattr(client, BOUNDS[name].column, BOUNDS[name].parse(text))
        except ValueError as error:
            raise ValueError(f"--{name}: {error}") from None


def told(session: Session, code: str | None = None) -> list[dict[str, Any]]:
    """What is set for each client, or for one, ordered by code; null is the platform's setting.

    Raises:
        ValueError: there is no such client.
    """
    query = select(Client).order_by(Client.code)
    if code is not None:
        query = query.where(Client.code == code)
    clients = session.scalars(query).all()
    if code is not None and not clients:
        raise ValueError(f"there is no client {code!r}; create-client makes one")
    return [
        {"client": client.code}
        | {name: getattr(client, bound.column) for name, bound in BOUNDS.items()}
        for client in clients
    ]
