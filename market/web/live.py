"""A live order is never a paper fill: without `sandbox: true` it is refused, and told why."""

from collections.abc import Mapping
from typing import Any

from app.clients.service import Principal
from app.credentials import repository
from app.database import Database
from app.errors import AppError, ConflictError


class VenueNotConnectedError(ConflictError):
    """A live order, and no key for its venue is stored here."""

    code = "VENUE_NOT_CONNECTED"


class NotServedError(AppError):
    """Not a part of this platform."""

    status = 501
    code = "NOT_IMPLEMENTED"


def refuse_live(database: Database, caller: Principal, body: Mapping[str, Any]) -> None:
    """Raise what a live order is answered with: it is not sent anywhere."""
    wanted, connected = _venues(body), connected_venues(database, caller)
    missing = sorted(wanted - connected) if wanted else [] if connected else ["a venue"]
    if missing:
        raise VenueNotConnectedError(
            f"this is a live order, and {', '.join(missing)} is not connected: pass sandbox=True "
            "(`is_sandbox`: true), or use a seq_test_ key, to trade on paper; `sequence connect "
            "VENUE` stores a venue's key"
        )
    raise NotServedError(
        "live orders are not part of this platform, which trades on paper: pass sandbox=True "
        "(`is_sandbox`: true) or use a seq_test_ key, or set SEQUENCE_UPSTREAM_URL so that "
        "strategies call a real trading service"
    )


def connected_venues(database: Database, caller: Principal) -> set[str]:
    """The venues for which the caller's client has stored a key, in the caller's mode."""
    with database.reading() as session:
        return {row.venue for row in repository.of_caller(session, caller)}


def _venues(body: Mapping[str, Any]) -> set[str]:
    """The venues that a body names, as far as it can be read."""
    nodes = body.get("nodes")
    instruments = [body]
    if isinstance(nodes, list):
        found = (node.get("instrument") for node in nodes if isinstance(node, Mapping))
        instruments = [one for one in found if isinstance(one, Mapping)]
    return {one["venue"] for one in instruments if isinstance(one.get("venue"), str)}
