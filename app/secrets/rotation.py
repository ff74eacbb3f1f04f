"""Sealing every data key anew for another key pair, while the platform works.

Small transactions, each of which leaves rows that open: it may end at any point and be run again.
Rows that somebody else holds locked are left for the next pass, so that nobody waits in a circle;
it is over when a pass over everything found nothing to do and nothing locked. Whoever copies a
sealed value holds its source locked until the copy is committed, so none escapes that last pass.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import select, update

from app.database import Database
from app.runners import repository as runners
from app.secrets import keys
from app.secrets.envelope import Opener
from app.secrets.keys import CredentialKeyError
from app.secrets.places import Place, places, rewrap_row

_BATCH_ROWS = 50
_TELL_EVERY_S = 1.0
_BETWEEN_PASSES_S = 0.2
# SQLite has one writer, and those that wait for it only look now and then whether it is free:
# without long rests between the batches none of them would ever find it so.
_RESTS = 3.0


@dataclass(frozen=True)
class Rotation:
    """What came of it.

    Attributes:
        key_id: the key that everything readable is sealed for now.
        data_keys: how many were sealed anew.
        unreadable: table and primary key of rows that no key at hand opens, as they were before.
        ended: those of our keys that nothing readable is sealed for, and nothing will be.
    """

    key_id: str
    data_keys: int = 0
    unreadable: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


@dataclass
class _Pass:
    data_keys: int = 0
    looked_at: int = 0
    locked_elsewhere: int = 0
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What is wanted beside sealing anew.

    Attributes:
        retire: nothing may be sealed for the other keys from now on.
        lost: ids of keys in force that nobody has any more; what they sealed stays unreadable.
    """

    retire: bool = False
    lost: tuple[str, ...] = ()


def rotate(database: Database, opener: Opener, plan: Plan, tell: Callable[[str], None]) -> Rotation:
    """Seal every data key for the newest of the opener's keys, and do what is planned.

    Raises:
        CredentialKeyError: a key in force is missing, or a live runner has not the newest one and
            could not open what we seal.
    """
    target = opener.key_ids[0]
    with database.transaction() as session:
        keys.check_opening(session, [*opener.key_ids, *plan.lost])
    _hold_runners_to(database, target)
    with database.transaction() as session:
        keys.put_in_force(session, target)
    # One that started between the two looked before we wrote; from now on none starts without it.
    _hold_runners_to(database, target)
    ended: list[str] = []
    if plan.retire:
        with database.transaction() as session:
            retired = keys.retire_others(session, target)
        ended = [key_id for key_id in retired if key_id in opener.key_ids]
    done = _rotate_all(database, opener, tell)
    return replace(done, ended=tuple(ended))


def _hold_runners_to(database: Database, key_id: str) -> None:
    with database.reading() as session:
        without = [
            f"{one.name} on {one.host}"
            for one in runners.live(session)
            if key_id not in one.key_ids
        ]
    if without:
        raise CredentialKeyError(
            f"these runners do not hold the newest key ({key_id}): {', '.join(without)}; put it "
            "first in their CREDENTIAL_ENCRYPTION_KEY, before the present ones, and restart them"
        )


def _rotate_all(database: Database, opener: Opener, tell: Callable[[str], None]) -> Rotation:
    target = opener.key_ids[0]
    found = places(database.engine)
    with database.reading() as session:
        rows = sum(place.count(session, target) for place in found)
    tell(f"{rows} rows to look at")
    data_keys = 0
    while True:
        done = _Pass()
        told_at = time.monotonic()
        for place in found:
            for _ in _batches(database, place, opener, done):
                if time.monotonic() - told_at >= _TELL_EVERY_S:
                    told_at = time.monotonic()
                    tell(f"{done.looked_at} of {rows} rows, {data_keys + done.data_keys} keys")
        data_keys += done.data_keys
        if not done.data_keys and not done.locked_elsewhere:
            return Rotation(target, data_keys, tuple(done.unreadable))
        if done.locked_elsewhere:
            time.sleep(_BETWEEN_PASSES_S)


def _batches(database: Database, place: Place, opener: Opener, done: _Pass) -> Iterator[None]:
    """Rewrap one table, batch by batch, each in a transaction of its own."""
    after: tuple[Any, ...] | None = None
    while True:
        with database.reading() as session:
            names = place.next_names(session, opener.key_ids[0], after, _BATCH_ROWS)
        if not names:
            return
        began_at = time.monotonic()
        _rewrap(database, place, names, opener, done)
        if database.engine.dialect.name == "sqlite":
            time.sleep(_RESTS * (time.monotonic() - began_at))
        after = names[-1]
        yield


def _rewrap(
    database: Database, place: Place, names: list[tuple[Any, ...]], opener: Opener, done: _Pass
) -> None:
    data_keys, unreadable = 0, []
    with database.transaction() as session:
        rows = place.locked(session, names)
        for row in rows:
            new = rewrap_row(place, row, opener)
            if new.values:
                session.execute(update(place.table).where(place.is_this(row)).values(new.values))
            data_keys += new.data_keys
            if new.is_unreadable:
                name = " ".join(str(row[column.name]) for column in place.primary_key)
                unreadable.append(f"{place.table.name} {name}")
        seen = {tuple(row[column.name] for column in place.primary_key) for row in rows}
        missing = [name for name in names if name not in seen]
        gone = len(missing) - _still_there(session, place, missing)
    done.data_keys += data_keys
    done.unreadable += unreadable
    done.looked_at += len(names)
    done.locked_elsewhere += len(missing) - gone


def _still_there(session: Any, place: Place, names: list[tuple[Any, ...]]) -> int:
    if not names:
        return 0
    columns = place.primary_key
    return sum(
        session.execute(
            select(*columns).where(*(c == v for c, v in zip(columns, name, strict=True)))
        ).first()
        is not None
        for name in names
    )
