"""A SELECT of one row that most requests make, run by the driver itself.

Two thirds of the time that SQLAlchemy takes for such a statement go into its connection and its
result; here it compiles the statement, once, and says how the values of the columns are read.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

_Reader = Callable[[Any], Any] | None


class Lookup:
    """The statement for one engine, on whose connections each statement is a transaction."""

    def __init__(self, statement: Select[Any], engine: Engine) -> None:
        self._engine = engine
        compiled = statement.compile(dialect=engine.dialect)
        self._text = str(compiled)
        self._order: list[str] | None = compiled.positiontup
        self._types = [column.type for column in statement.selected_columns]
        self._readers: list[_Reader] | None = None

    def one(self, parameters: Mapping[str, Any]) -> list[Any] | None:
        """The values of the first row in the order of the columns; None when there is no row.

        Raises:
            sqlalchemy.exc.OperationalError: the driver failed.
        """
        order = self._order
        given = parameters if order is None else tuple(parameters[name] for name in order)
        try:
            return self._ask(given)
        except OperationalError as error:
            if not error.connection_invalidated:
                raise
            # The server ended it, and all others with it, while they lay idle.
            self._engine.dispose()
            return self._ask(given)

    def _ask(self, given: Any) -> list[Any] | None:
        dialect = self._engine.dialect
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(self._text, given)
            row = cursor.fetchone()
            readers = self._readers or self._found_readers(cursor.description)
            cursor.close()
        except dialect.loaded_dbapi.Error as error:
            is_broken = dialect.is_disconnect(error, connection.dbapi_connection, None)
            connection.invalidate(error)
            raise OperationalError(
                self._text, None, error, hide_parameters=True, connection_invalidated=is_broken
            ) from error
        finally:
            connection.close()
        if row is None:
            return None
        values = zip(row, readers, strict=True)
        return [value if read is None or value is None else read(value) for value, read in values]

    def _found_readers(self, description: Sequence[Any]) -> list[_Reader]:
        """They hang on what the driver calls the columns' types, which an answer says first."""
        dialect = self._engine.dialect
        named = zip(self._types, description, strict=True)
        self._readers = [
            kind.dialect_impl(dialect).result_processor(dialect, column[1])
            for kind, column in named
        ]
        return self._readers
