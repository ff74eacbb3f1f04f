"""What owners may ask of their strategies; each function owns its transaction.

Messages to runners go out after the commit, and a lost one is made good by the sweep.
"""

import json
import uuid
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.account import quotas
from app.api.context import Services
from app.artifacts import intake
from app.artifacts import repository as artifacts
from app.clients.service import Principal, Scope, authenticate, lock_client
from app.database import database_now
from app.deployments import repository as versions
from app.deployments.models import Origin
from app.errors import (
    ConflictError,
    Detail,
    NotFoundError,
    UnauthorizedError,
    ValidationFailedError,
)
from app.logs import stream
from app.runners import repository as runners
from app.secrets import keys
from app.strategies import hooks, idempotency, inspection, lifecycle, placement, repository
from app.strategies.going import set_going
from app.strategies.idempotency import HEADER, Repeatable
from app.strategies.inspection import Inspected
from app.strategies.listing import Place, Selection, StrategyPage
from app.strategies.models import Strategy
from app.strategies.policy_schemas import POLICIES
from app.strategies.states import DesiredState, Reason, Status
from app.strategies.termination import bury
from app.strategies.usage import live_usage
from app.strategies.waiting import waiting

REPEAT_WINDOW_S = 60.0
"""For this long the same create again is taken for a client's retry."""

_PLAIN = ("name", "runtime", "env", "manifest", "placement", "resources", "risk", *POLICIES)


@dataclass(frozen=True)
class Created:
    """What a create came to; `is_new` is False when it replaced one or repeated itself."""

    row: Strategy
    is_new: bool


@dataclass(frozen=True)
class _Order:
    """A checked create request on its way into the database."""

    body: dict[str, Any]
    upload: intake.Upload
    owner: Principal
    actor: str
    fingerprint: str
    repeatable: Repeatable | None


def create(
    services: Services, caller: Principal, body: dict[str, Any], idempotency_key: str
) -> Created:
    """Make a strategy, or give the one of this name a new artifact and new settings.

    A repetition of the last create within a minute changes nothing: clients retry. With a key, one
    of any create within a day does not, whatever was done meanwhile.

    Raises:
        ValidationFailedError, TooLargeError: the body is not usable, or the key is another's.
        ConflictError: what was made with the key is deleted.
    """
    settings = services.settings
    idempotency.check_key(idempotency_key)
    placement.check_targets(
        body["placement"].get("latency_target", []), settings.latency_targets.keys()
    )
    upload = intake.accept(
        body["artifact_base64"],
        body["entrypoint"],
        max_bytes=settings.artifact_max_bytes,
        max_unpacked_bytes=settings.artifact_max_unpacked_bytes,
    )
    body = {**body, "hooks": hooks.checked(body["hooks"], upload.files)}
    owner = _owner(services, caller, body["sequence_api_key"])
    fingerprint = _fingerprint(services, body, upload.sha256, idempotency_key)
    repeatable = None
    if idempotency_key:
        repeatable = Repeatable(caller, services.hasher(idempotency_key), fingerprint)
    order = _Order(body, upload, owner, f"key:{caller.key_id}", fingerprint, repeatable)
    created, announce = _commit(services, order)
    follow_up(services, created.row, announce=announce)
    return created


def follow_up(services: Services, row: Strategy, *, announce: bool) -> None:
    """After the commit of a new version: tell runners, and forget versions that are too many."""
    if announce:
        services.announcer.announce(row.strategy_id, row.latency_target)
    services.waker.wake(row.runner_id)
    last = row.version - services.settings.versions_kept
    if last > 0:
        with services.database.transaction() as session:
            versions.forget_older(session, row.strategy_id, last)


def list_some(services: Services, caller: Principal, wanted: Selection) -> StrategyPage:
    """The caller's strategies that are asked for, newest first."""
    limit = wanted.limit
    one_more = replace(wanted, limit=limit + 1) if limit is not None else wanted
    with services.database.reading() as session:
        found = repository.select_some(session, caller, one_more)
    if limit is None or len(found) <= limit:
        return StrategyPage(found, None)
    last = found[limit - 1]
    return StrategyPage(found[:limit], str(Place(last.created_at, last.strategy_id)))


def get(services: Services, caller: Principal, strategy_id: str) -> Strategy:
    """One strategy.

    Raises:
        NotFoundError: the caller has none with this id.
    """
    with services.database.reading() as session:
        return _found(session, caller, strategy_id)


def inspect(services: Services, caller: Principal, strategy_id: str) -> Inspected:
    """One strategy with its current or last run, what that uses, and what it waits for.

    Raises:
        NotFoundError: the caller has none with this id.
    """
    seen = inspection.look(services.database, caller, strategy_id)
    if seen is None:
        raise _not_found(strategy_id)
    if seen.status == Status.QUEUED:
        with services.database.reading() as session:
            seen.waiting = waiting(session, seen)
    run = seen.run
    if run is not None and run.ended_at is None:
        run.usage = live_usage(services.redis, run.run_id)
    return seen


def start(services: Services, caller: Principal, strategy_id: str) -> Strategy:
    """Make it run; nothing changes for one that runs or waits already."""
    database = services.database
    with database.transaction() as session, quotas.held(services, session, caller.client_id):
        row = locked(session, caller, strategy_id)
        announce = lifecycle.owner_starts(session, row, f"key:{caller.key_id}")
    if announce:
        services.announcer.announce(row.strategy_id, row.latency_target)
    return row


def stop(services: Services, caller: Principal, strategy_id: str) -> Strategy:
    """Make it end; a running one is told at once and answers as running until it is gone."""
    with services.database.transaction() as session:
        row = locked(session, caller, strategy_id)
        lifecycle.owner_stops(session, row, f"key:{caller.key_id}")
    services.waker.wake(row.runner_id)
    stream.notify(services.redis, strategy_id)
    return row


def delete(services: Services, caller: Principal, strategy_id: str) -> None:
    """Make it gone for its owner now; a running one is stopped first and then purged."""
    with services.database.transaction() as session:
        row = locked(session, caller, strategy_id)
        row.deleted_at = database_now()
        is_running = lifecycle.owner_stops(session, row, f"key:{caller.key_id}")
    services.waker.wake(row.runner_id)
    stream.notify(services.redis, strategy_id)
    if not is_running:
        bury(services.database, services.redis, strategy_id)


def _commit(services: Services, order: _Order) -> tuple[Created, bool]:
    owner = order.owner
    database = services.database
    with database.transaction() as session, quotas.held(services, session, owner.client_id):
        before = _made_before(session, order)
        if before is not None:
            return Created(before, is_new=False), False
        row = _of_this_name(session, order)
        if row is not None and is_repeat(session, row, order.fingerprint):
            created, announce = Created(row, is_new=False), False
        else:
            created = Created(row or _new_row(owner), is_new=row is None)
            announce = _store(services, session, created.row, order)
        if order.repeatable is not None:
            idempotency.leave(session, order.repeatable, created.row.strategy_id)
    return created, announce


def _made_before(session: Session, order: _Order) -> Strategy | None:
    """What the request came to when it came before; None when it comes first, or has no key."""
    if order.repeatable is None:
        return None
    strategy_id = idempotency.enter(session, order.repeatable)
    if strategy_id is None:
        return None
    row = repository.find(session, order.owner, strategy_id)
    if row is None:
        raise ConflictError(
            f"the strategy of this {HEADER} was deleted; use a new one to deploy again"
        )
    return row


def _store(services: Services, session: Session, row: Strategy, order: _Order) -> bool:
    """Make the order the next version of a row that is new or locked; True to tell runners."""
    artifacts.store(session, order.upload.sha256, order.upload.content)
    _fill(services, session, row, order)
    session.add(row)
    session.flush()
    versions.add(session, row, Origin.CREATE, order.actor)
    announce = set_going(
        session, row, order.actor, start_immediately=order.body["start_immediately"]
    )
    row.create_fingerprint = order.fingerprint
    row.create_fingerprint_at = database_now()
    session.flush()
    session.refresh(row)
    return announce


def _of_this_name(session: Session, order: _Order) -> Strategy | None:
    """The strategy that is to be replaced, locked; without one, no other request makes one."""
    owner, name = order.owner, order.body["name"]
    row = repository.find_by_name(session, owner.client_id, owner.is_sandbox, name)
    if row is None:
        lock_client(session, owner.client_id)
        row = repository.find_by_name(session, owner.client_id, owner.is_sandbox, name)
    return row


def _fill(services: Services, session: Session, row: Strategy, order: _Order) -> None:
    for name in _PLAIN:
        setattr(row, name, order.body[name])
    row.entrypoint = order.upload.entrypoint
    row.artifact_sha256 = order.upload.sha256
    row.size_bytes = order.upload.size_bytes
    wanted = order.body["placement"].get("latency_target", [])
    row.latency_target = placement.choose_queue(wanted, runners.live_queues(session))
    for slot in ("secrets", "sequence_api_key"):
        value, sealed = order.body[slot], None
        if value:
            keys.hold(session, services.sealer.key_id)
            sealed = services.sealer.seal(value, strategy_id=row.strategy_id, column=slot)
        row.seal(slot, sealed)
    row.secrets_changes = []
    row.updated_at = database_now()


def _new_row(owner: Principal) -> Strategy:
    return Strategy(
        strategy_id=str(uuid.uuid4()),
        client_id=owner.client_id,
        is_sandbox=owner.is_sandbox,
        desired_state=DesiredState.STOPPED,
        status=Status.STOPPED,
        status_reason=Reason.CREATED,
        version=0,
        epoch=0,
        created_at=database_now(),
    )


def _owner(services: Services, caller: Principal, injected_key: str | None) -> Principal:
    """Whose strategy it becomes: its mode follows the injected key."""
    if injected_key is None:
        return caller
    try:
        with services.database.reading() as session:
            owner = authenticate(session, services.hasher, injected_key)
    except UnauthorizedError as error:
        raise _bad_injected_key(error.message) from None
    if owner.client_id != caller.client_id:
        raise _bad_injected_key("the API key is not known here, or it was revoked")
    if owner.is_sandbox != caller.is_sandbox and not owner.may(Scope.DEPLOY):
        raise _bad_injected_key("the API key decides the mode, and it may not deploy in its own")
    return owner


def _bad_injected_key(message: str) -> ValidationFailedError:
    return ValidationFailedError([Detail("sequence_api_key", message)])


def _fingerprint(
    services: Services, body: dict[str, Any], sha256: str, idempotency_key: str
) -> str:
    content = {k: v for k, v in body.items() if k != "artifact_base64"}
    return services.hasher(json.dumps([content, sha256, idempotency_key], sort_keys=True))


def is_repeat(session: Session, row: Strategy, fingerprint: str) -> bool:
    """Whether the last change of the row was this very one, within the last minute."""
    if row.create_fingerprint != fingerprint or row.create_fingerprint_at is None:
        return False
    now = session.scalars(select(database_now())).one()
    return now - row.create_fingerprint_at < REPEAT_WINDOW_S


def locked(session: Session, caller: Principal, strategy_id: str) -> Strategy:
    """The caller's strategy, locked for a change.

    Raises:
        NotFoundError: the caller has none with this id.
    """
    _found(session, caller, strategy_id)
    row = lifecycle.lock(session, strategy_id)
    if row is None or row.deleted_at is not None:
        raise _not_found(strategy_id)
    return row


def _found(session: Session, caller: Principal, strategy_id: str) -> Strategy:
    row = repository.find(session, caller, strategy_id)
    if row is None:
        raise _not_found(strategy_id)
    return row


def _not_found(strategy_id: str) -> NotFoundError:
    return NotFoundError(f"there is no strategy {strategy_id!r} that this key may see")
