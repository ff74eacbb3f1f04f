"""Changing a strategy's settings in place; its program stays what it is."""

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError
from sqlalchemy.orm import Session

from app.account import quotas
from app.api.context import Services
from app.artifacts import repository as artifacts
from app.artifacts.archive import read_archive
from app.clients.service import Principal
from app.database import database_now
from app.deployments import repository as versions
from app.deployments.models import Origin
from app.errors import ConflictError, Detail, ValidationFailedError
from app.runners import repository as runners
from app.secrets import keys
from app.secrets.layers import MOST_LAYERS, seal_layer
from app.strategies import hooks, placement, service
from app.strategies.definition import defining
from app.strategies.going import set_going
from app.strategies.models import Strategy
from app.strategies.schemas import hold_variables
from app.strategies.update_schemas import TABLES

_SECRETS = "secrets"


def update(
    services: Services, caller: Principal, strategy_id: str, changes: Mapping[str, Any]
) -> Strategy:
    """Merge changes into the strategy as its next version; one that runs is replaced gracefully.

    What changes nothing makes no version, nor does the same change again within a minute.

    Raises:
        NotFoundError: the caller has no such strategy.
        ValidationFailedError: what would come of it is not usable.
        ConflictError: its secrets were changed in place too often.
    """
    actor = f"key:{caller.key_id}"
    fingerprint = services.hasher(json.dumps(["update", strategy_id, changes], sort_keys=True))
    database = services.database
    with database.transaction() as session, quotas.held(services, session, caller.client_id):
        row = service.locked(session, caller, strategy_id)
        if service.is_repeat(session, row, fingerprint):
            return row
        before = defining(row)
        _merge(services, session, row, changes)
        if defining(row) == before:
            return row
        wanted = row.placement.get("latency_target", [])
        row.latency_target = placement.choose_queue(wanted, runners.live_queues(session))
        row.updated_at = database_now()
        versions.add(session, row, Origin.UPDATE, actor)
        announce = set_going(session, row, actor, start_immediately=False)
        row.create_fingerprint, row.create_fingerprint_at = fingerprint, database_now()
        session.flush()
        session.refresh(row)
    service.follow_up(services, row, announce=announce)
    return row


def _merge(services: Services, session: Session, row: Strategy, changes: Mapping[str, Any]) -> None:
    if "env" in changes:
        row.env = _merged(row.env, changes["env"])
        _hold("env", lambda: hold_variables(row.env))
    for name in TABLES:
        if name in changes:
            setattr(row, name, _table(name, _merged(getattr(row, name), changes[name])))
    if "placement" in changes:
        targets = row.placement.get("latency_target", [])
        placement.check_targets(targets, services.settings.latency_targets.keys())
    if changes.get("hooks"):
        row.hooks = hooks.checked(row.hooks, _files(services, session, row))
    if _SECRETS in changes:
        _merge_secrets(services, session, row, changes[_SECRETS])


def _merged(present: Mapping[str, Any], change: Mapping[str, Any] | None) -> dict[str, Any]:
    if change is None:
        return {}
    return {k: v for k, v in {**present, **change}.items() if v is not None}


def _table(name: str, merged: dict[str, Any]) -> dict[str, Any]:
    if not merged and name != "resources":
        return merged
    loaded: dict[str, Any] = {}
    _hold(name, lambda: loaded.update(TABLES[name]().load(merged)))
    return loaded


def _hold(name: str, check: Any) -> None:
    """Run a check of marshmallow's; its complaints become ours, below the table's name."""
    try:
        check()
    except ValidationError as error:
        raise ValidationFailedError(list(_details(name, error.messages))) from None


def _details(path: str, messages: Any) -> list[Detail]:
    if isinstance(messages, dict):
        return [
            detail
            for key, inner in messages.items()
            for detail in _details(path if key == "_schema" else f"{path}.{key}", inner)
        ]
    if isinstance(messages, list):
        return [detail for inner in messages for detail in _details(path, inner)]
    return [Detail(path, str(messages))]


def _files(services: Services, session: Session, row: Strategy) -> frozenset[str]:
    content = artifacts.load(session, row.artifact_sha256)
    limit = services.settings.artifact_max_unpacked_bytes
    archive = read_archive(content, max_unpacked_bytes=limit)
    return frozenset(file.path for file in archive.files)


def _merge_secrets(
    services: Services, session: Session, row: Strategy, change: Mapping[str, str | None] | None
) -> None:
    if change is None:
        row.seal(_SECRETS, None)
        row.secrets_changes = []
    elif change:
        number = len(row.secrets_changes) + 1
        if number > MOST_LAYERS:
            raise ConflictError(
                f"the secrets were changed in place {MOST_LAYERS} times; deploy the strategy again "
                "with all of them, or remove all of them with null first"
            )
        strategy_id = row.strategy_id
        keys.hold(session, services.sealer.key_id)
        layer = seal_layer(services.sealer, change, strategy_id=strategy_id, number=number)
        row.secrets_changes = [*row.secrets_changes, layer]
