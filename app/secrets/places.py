"""Where sealed values are: found in the database's own schema, so that no table is forgotten.

A table that has a column `X_wrapped_key` has `X_key_id` beside it, and may have `X_changes`: layers
over it, as JSON (`app.secrets.layers`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    MetaData,
    RowMapping,
    Table,
    Text,
    and_,
    cast,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from app.secrets.envelope import EnvelopeError, Opener
from app.secrets.layers import rewrap_layers

_WRAPPED = "_wrapped_key"


@dataclass(frozen=True)
class Place:
    """A table with sealed values.

    Attributes:
        slots: the X of its columns `X_wrapped_key` and `X_key_id`.
        layered: its columns of layers.
    """

    table: Table
    slots: tuple[str, ...]
    layered: tuple[str, ...]

    @property
    def primary_key(self) -> tuple[ColumnElement[Any], ...]:
        """The columns that name a row."""
        return tuple(self.table.primary_key.columns)

    def looked_at(self, key_id: str) -> ColumnElement[bool]:
        """Rows that may have a value which is not sealed for this key."""
        other = [
            and_(self.table.c[f"{slot}{_WRAPPED}"].is_not(None), self._id(slot) != key_id)
            for slot in self.slots
        ]
        layers = [cast(self.table.c[name], Text) != "[]" for name in self.layered]
        return or_(*other, *layers)

    def count(self, session: Session, key_id: str) -> int:
        """How many rows that is."""
        query = select(func.count()).select_from(self.table).where(self.looked_at(key_id))
        return session.scalars(query).one()

    def next_names(
        self, session: Session, key_id: str, after: Sequence[Any] | None, limit: int
    ) -> list[tuple[Any, ...]]:
        """The primary keys of the next such rows behind `after`, in order."""
        query = select(*self.primary_key).where(self.looked_at(key_id))
        if after is not None:
            query = query.where(tuple_(*self.primary_key) > tuple_(*after))
        found = session.execute(query.order_by(*self.primary_key).limit(limit))
        return [tuple(row) for row in found]

    def locked(self, session: Session, names: Sequence[tuple[Any, ...]]) -> Sequence[RowMapping]:
        """These rows, locked, without those that somebody else holds locked just now."""
        columns = [self.table.c[f"{slot}{part}"] for slot in self.slots for part in _PARTS]
        columns += [self.table.c[name] for name in self.layered]
        query = select(*self.primary_key, *columns).where(tuple_(*self.primary_key).in_(names))
        return session.execute(query.with_for_update(skip_locked=True)).mappings().all()

    def is_this(self, row: RowMapping) -> ColumnElement[bool]:
        """Whether a row is this one."""
        return and_(*(column == row[column.name] for column in self.table.primary_key))

    def _id(self, slot: str) -> ColumnElement[str]:
        return self.table.c[f"{slot}_key_id"]


_PARTS = (_WRAPPED, "_key_id")


def places(engine: Engine) -> list[Place]:
    """Every table of this database that has sealed values."""
    metadata = MetaData()
    metadata.reflect(engine)
    return list(_found(metadata))


def _found(metadata: MetaData) -> Iterator[Place]:
    for table in metadata.sorted_tables:
        names = table.c.keys()
        slots = tuple(name.removesuffix(_WRAPPED) for name in names if name.endswith(_WRAPPED))
        if slots:
            layered = tuple(f"{slot}_changes" for slot in slots if f"{slot}_changes" in names)
            yield Place(table, slots, layered)


@dataclass(frozen=True)
class Rewrapped:
    """What becomes of one row.

    Attributes:
        values: its columns that change.
        data_keys: how many were wrapped anew.
        is_unreadable: it has one that none of our keys opens.
    """

    values: dict[str, Any]
    data_keys: int
    is_unreadable: bool


def rewrap_row(place: Place, row: RowMapping, opener: Opener) -> Rewrapped:
    """Wrap all data keys of a row for the newest of the opener's keys."""
    values: dict[str, Any] = {}
    data_keys, is_unreadable = 0, False
    for slot in place.slots:
        try:
            new = opener.rewrap(row[f"{slot}{_WRAPPED}"], row[f"{slot}_key_id"])
        except EnvelopeError:
            is_unreadable = True
            continue
        if new is not None:
            values |= {f"{slot}{_WRAPPED}": new.key, f"{slot}_key_id": new.key_id}
            data_keys += 1
    for name in place.layered:
        layers = rewrap_layers(opener, row[name])
        is_unreadable |= layers.is_unreadable
        if layers.data_keys:
            values[name] = layers.layers
            data_keys += layers.data_keys
    return Rewrapped(values, data_keys, is_unreadable)
