"""What ten thousand strategies in the table change for a list of a hundred, and for a claim."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, select, text, update

from app.database import Database, database_now
from app.deployments.models import StrategyVersion
from app.strategies.definition import DEFINING
from app.strategies.models import Strategy
from benchmarks.api_load import Request, load
from benchmarks.api_server import ApiServer
from benchmarks.report import Row
from tasks.claims import Claims
from tasks.ending import Cause, Ending

FEW, MANY = 100, 10_000
ROUNDS = 5
CLAIMS = 100


def rows(name: str, server: ApiServer) -> list[Row]:
    """Times with many as multiples of those with few, in the same run on the same server."""
    database = server.database
    _keep(database, FEW)
    _settle(database)
    few = [_list_ms(server) for _ in range(ROUNDS)], _claims_ms(database)
    _fill(database, MANY)
    _settle(database)
    many = [_list_ms(server) for _ in range(ROUNDS)], _claims_ms(database)
    lists = [after / before for before, after in zip(few[0], many[0], strict=True)]
    claims = statistics.median(many[1]) / statistics.median(few[1])
    return [
        Row(f"API, {name}: list of 100, of {MANY} / of {FEW}", lists, "x", 1.5),
        Row(f"claim and end, {name}, of {FEW}", few[1], "ms"),
        Row(f"claim and end, {name}, of {MANY}", many[1], "ms"),
        Row(f"claim and end, {name}, of {MANY} / of {FEW}", [claims], "x", 1.5),
    ]


def _list_ms(server: ApiServer) -> float:
    url = f"http://127.0.0.1:{server.port}/v1/strategies?limit=100"
    return 1000 / load(Request(url, server.headers()), 2).per_second


def _claims_ms(database: Database) -> list[float]:
    """A claim and its end, of queued ones among all the others."""
    claims = Claims(database, "bench", lease_s=15.0, runs_kept=20)
    with database.reading() as session:
        wanted = session.scalars(select(Strategy.strategy_id).limit(CLAIMS)).all()
    with database.transaction() as session:
        session.execute(
            update(Strategy)
            .where(Strategy.strategy_id.in_(wanted))
            .values(status="queued", desired_state="running", queued_at=database_now())
        )
    return [_timed_ms(lambda one=one: _run(claims, one)) for one in wanted]


def _run(claims: Claims, strategy_id: str) -> None:
    claim = claims.claim(strategy_id)
    if claim is None:
        raise SystemExit(f"{strategy_id} cannot be claimed")
    claims.renew([strategy_id])
    claims.finish(claim, Ending(Cause.PROGRAM, exit_code=0))


def _timed_ms(do: Callable[[], None]) -> float:
    began = time.perf_counter()
    do()
    return (time.perf_counter() - began) * 1000


def _settle(database: Database) -> None:
    """What PostgreSQL's autovacuum does within a minute of so large a change."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("VACUUM ANALYZE"))


def _keep(database: Database, count: int) -> None:
    """Remove the others, which the load has made."""
    with database.transaction() as session:
        ids = session.scalars(select(Strategy.strategy_id).limit(count)).all()
        session.execute(Strategy.__table__.delete().where(Strategy.strategy_id.not_in(ids)))


def _fill(database: Database, count: int) -> None:
    """Copies of one strategy under names of their own, each with its version."""
    with database.transaction() as session:
        row = session.scalars(select(Strategy).limit(1)).one()
        present = len(session.scalars(select(Strategy.strategy_id)).all())
        content = {name: getattr(row, name) for name in DEFINING}
        strategies: list[dict[str, Any]] = []
        versions: list[dict[str, Any]] = []
        for number in range(present, count):
            strategy_id = f"00000000-0000-0000-0000-{number:012}"
            own = {"client_id": row.client_id, "is_sandbox": False, "latency_target": "default"}
            times = {"created_at": row.created_at + number, "updated_at": row.updated_at}
            strategies.append(
                {"strategy_id": strategy_id, "name": f"many-{number}", **own, **times, **content}
            )
            kept = {"version": 1, "origin": "create", "actor": "key:bench", "created_at": 1.0}
            versions.append({"strategy_id": strategy_id, **kept, **content})
        session.execute(insert(Strategy), strategies)
        session.execute(insert(StrategyVersion), versions)
