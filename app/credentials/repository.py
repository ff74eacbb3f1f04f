"""Queries of venue keys; a caller sees those of its own client and mode alone."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.clients.service import Principal
from app.credentials.models import VenueCredential


def of_caller(session: Session, caller: Principal) -> Sequence[VenueCredential]:
    """All of them, by the venue's name."""
    return session.scalars(_visible(caller).order_by(VenueCredential.venue)).all()


def find(
    session: Session, caller: Principal, venue: str, *, locked: bool = False
) -> VenueCredential | None:
    """The caller's key for a venue, or None; `locked` until the end of the transaction."""
    query = _visible(caller).where(VenueCredential.venue == venue)
    return session.scalar(query.with_for_update() if locked else query)


def _visible(caller: Principal) -> Select[VenueCredential]:
    return select(VenueCredential).where(
        VenueCredential.client_id == caller.client_id,
        VenueCredential.is_sandbox.is_(caller.is_sandbox),
    )
