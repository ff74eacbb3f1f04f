"""The database's own clock: leases of runners on many machines are compared by it alone."""

from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class database_now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """Unix seconds as a float, at the moment of the statement, not of the transaction."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "postgresql")
def _postgresql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"
