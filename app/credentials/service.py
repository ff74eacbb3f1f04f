"""What clients may do with their venue keys; each function owns its transaction.

Live and sandbox keys are apart: what a `seq_test_` key stores is not there for a live one.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.api.context import Services
from app.clients.service import Principal
from app.credentials import repository
from app.credentials.models import VenueCredential
from app.credentials.venues import MIN_CHARS, VENUE_KEYS, problems
from app.database import database_now
from app.errors import ConflictError, Detail, NotFoundError, ValidationFailedError
from app.secrets import keys

log = logging.getLogger(__name__)

COLUMN = "venue_credential"


def store(
    services: Services, caller: Principal, venue: str, body: Mapping[str, Any]
) -> VenueCredential:
    """Seal and keep a venue's key, in place of the one before.

    Raises:
        NotFoundError: no such venue.
        ValidationFailedError: not the form of this venue's keys.
        ConflictError: two requests stored the first one at the same moment.
        KeyNotInForceError: this web process seals for a key that was retired.
    """
    _known(venue)
    if wrong := problems(venue, body):
        raise ValidationFailedError([Detail(field, text) for field, (text,) in wrong.items()])
    try:
        with services.database.transaction() as session:
            keys.hold(session, services.sealer.key_id)
            row = repository.find(session, caller, venue, locked=True)
            row = row or _empty(session, caller, venue)
            _seal(services, row, body)
            session.flush()
            session.refresh(row)
    except IntegrityError:
        raise ConflictError(f"a key for {venue} was stored just now; send this again") from None
    _audit("credential_stored", caller, row)
    return row


def list_all(services: Services, caller: Principal) -> Sequence[VenueCredential]:
    """What the caller's client has stored in the caller's mode, by venue."""
    with services.database.reading() as session:
        return repository.of_caller(session, caller)


def get(services: Services, caller: Principal, venue: str) -> VenueCredential:
    """One of them.

    Raises:
        NotFoundError: no such venue, or none stored for it.
    """
    _known(venue)
    with services.database.reading() as session:
        return _there(repository.find(session, caller, venue), venue)


def remove(services: Services, caller: Principal, venue: str) -> None:
    """Forget a venue's key.

    Raises:
        NotFoundError: no such venue, or none stored for it.
    """
    _known(venue)
    with services.database.transaction() as session:
        row = _there(repository.find(session, caller, venue, locked=True), venue)
        session.delete(row)
    _audit("credential_removed", caller, row)


def is_connected(session: Session, caller: Principal, venue: str) -> bool:
    """Whether the caller's client has stored a key for a venue, in the caller's mode."""
    return repository.find(session, caller, venue) is not None


def bound_to(client_id: str, venue: str, *, is_sandbox: bool) -> str:
    """What a sealed venue key is bound to: moved to another row it does not open."""
    return f"{client_id}/{'test' if is_sandbox else 'live'}/{venue}"


def _empty(session: Session, caller: Principal, venue: str) -> VenueCredential:
    row = VenueCredential(
        client_id=caller.client_id,
        is_sandbox=caller.is_sandbox,
        venue=venue,
        created_at=database_now(),
    )
    session.add(row)
    return row


def _seal(services: Services, row: VenueCredential, body: Mapping[str, Any]) -> None:
    place = bound_to(row.client_id, row.venue, is_sandbox=row.is_sandbox)
    value = {name: found for name, found in body.items() if found is not None}
    sealed = services.sealer.seal(value, strategy_id=place, column=COLUMN)
    row.credential_ciphertext = sealed.ciphertext
    row.credential_nonce = sealed.nonce
    row.credential_wrapped_key = sealed.wrapped_key
    row.credential_key_id = sealed.key_id
    row.key_tail = body["api_key"][-4:] if len(body["api_key"]) >= 2 * MIN_CHARS else ""
    row.fingerprint = services.hasher(f"{place}\0{json.dumps(value, sort_keys=True)}")[:16]
    row.updated_at = database_now()


def _known(venue: str) -> None:
    if venue not in VENUE_KEYS:
        raise NotFoundError(
            f"there is no venue {venue[:40]!r}; venues that take a key: {', '.join(VENUE_KEYS)}"
        )


def _there(row: VenueCredential | None, venue: str) -> VenueCredential:
    if row is None:
        raise NotFoundError(
            f"no key for {venue} is stored in this mode; `sequence connect {venue}` stores one"
        )
    return row


def _audit(event: str, caller: Principal, row: VenueCredential) -> None:
    log.info(
        event,
        extra={
            "client": caller.client_code,
            "key_id": caller.key_id,
            "venue": row.venue,
            "is_sandbox": row.is_sandbox,
            "fingerprint": row.fingerprint,
        },
    )
