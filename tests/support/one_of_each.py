"""A row in every table, made from nothing but the models: a new table needs nothing here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    inspect,
    text,
)
from sqlalchemy.orm import Session

from app.database import Database

_VALUES: tuple[tuple[type, Any], ...] = (
    (Boolean, False),
    (Integer, 1),
    (Float, 1.5),
    (LargeBinary, b"\0\1"),
    (JSON, {"ü": [1.5]}),
)
# What a constraint, or a migration with an opinion, asks for.
_GIVEN = {("strategies", "status"): "stopped", ("api_keys", "expires_at"): None}


def fill(session: Session, metadata: MetaData) -> None:
    """Add a row to every table, parents first, with a value in every column without a default."""
    made: dict[str, dict[str, Any]] = {}
    for table in metadata.sorted_tables:
        row = {}
        for column in table.columns:
            if column.server_default is None and column is not table.autoincrement_column:
                row[column.name] = _value(column, made)
        session.execute(table.insert().values(row))
        made[table.name] = row


def content(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every table as it is in the database."""
    names = inspect(database.engine).get_table_names()
    with database.reading() as session:
        return {
            name: [dict(row) for row in session.execute(text(f'SELECT * FROM "{name}"')).mappings()]
            for name in names
            if name != "alembic_version"
        }


def shared(
    one: dict[str, list[dict[str, Any]]], other: dict[str, list[dict[str, Any]]]
) -> list[dict[str, list[dict[str, Any]]]]:
    """Both, with those tables and columns alone that both have."""
    return [
        {
            name: [{key: row[key] for key in row if key in _columns(b, name)} for row in a[name]]
            for name in a
            if name in b
        }
        for a, b in ((one, other), (other, one))
    ]


def _columns(tables: dict[str, list[dict[str, Any]]], name: str) -> set[str]:
    return {key for row in tables[name] for key in row}


def _value(column: Column[Any], made: dict[str, dict[str, Any]]) -> Any:
    given = (column.table.name, column.name)
    if given in _GIVEN:
        return _GIVEN[given]
    for key in column.foreign_keys:
        return made[key.column.table.name][key.column.name]
    if isinstance(column.type, String):
        return column.name[: column.type.length]
    return next(value for kind, value in _VALUES if isinstance(column.type, kind))
