"""Migrations: up, down and up again with rows in the tables, and in step with the models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError
from support.one_of_each import content, fill, shared
from support.postgres_server import PostgresServer

from app import migrations
from app.clients.service import ensure_client
from app.database import Database
from app.deployments import repository as versions
from app.deployments.models import Origin
from app.models import Artifact, Base, Client, Run, Strategy, StrategyEvent, StrategyVersion
from app.strategies.definition import defining


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any schema."""
    if request.param == "sqlite":
        with closing(Database(f"sqlite:///{tmp_path}/empty.db")) as database:
            yield database
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create_database()
    url = server.url(name).replace("postgresql://", "postgresql+psycopg://")
    with closing(Database(url)) as database:
        yield database
    server.drop_database(name)


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def add_rows(database: Database) -> None:
    with database.transaction() as session:
        client = ensure_client(session, "acme")
        session.add(Artifact(sha256="a" * 64, content=b"\0\1", created_at=1.0))
        session.flush()
        session.add(strategy(client.client_id))
        session.flush()
        session.add(
            Run(
                run_id="r1",
                strategy_id="s1",
                epoch=1,
                runner_id="runner",
                artifact_sha256="a" * 64,
                started_at=1.5,
                usage={"cpu_s": 0.5},
            )
        )
        session.add(
            StrategyEvent(
                strategy_id="s1",
                at=1.0,
                event="start",
                from_status="stopped",
                to_status="queued",
                reason="requested",
                actor="key:1",
                epoch=0,
            )
        )


def strategy(client_id: str, **values: object) -> Strategy:
    fields: dict[str, object] = {
        "strategy_id": "s1",
        "client_id": client_id,
        "is_sandbox": False,
        "name": "alpha",
        "runtime": "python",
        "entrypoint": "main.py",
        "artifact_sha256": "a" * 64,
        "size_bytes": 2,
        "latency_target": "default",
        "created_at": 1.0,
        "updated_at": 1.0,
    }
    fields |= {key: {"ü": [1.5]} for key in ("manifest", "placement", "resources", "risk")}
    fields["env"] = {"A": "ü"}
    return Strategy(**(fields | values))


def test_up_down_and_up_again(empty: Database) -> None:
    for _ in range(2):
        migrations.upgrade(empty)
        migrations.upgrade(empty)  # a release that changes nothing
        assert tables(empty) == set(Base.metadata.tables)
        add_rows(empty)
        with empty.reading() as session:
            row = session.scalars(select(Strategy)).one()
            assert (row.env, row.manifest) == ({"A": "ü"}, {"ü": [1.5]})
            assert session.scalars(select(Run)).one().usage == {"cpu_s": 0.5}
        command.downgrade(migrations.alembic_config(empty), "base")
        assert tables(empty) == set()


def test_every_step_down_and_up_keeps_every_row(empty: Database) -> None:
    """With a row in every table; what a step removes is all that is gone after it."""
    migrations.upgrade(empty)
    with empty.transaction() as session:
        fill(session, Base.metadata)
    config = migrations.alembic_config(empty)
    oldest: set[str] = set()
    before = content(empty)
    assert {name for name, rows in before.items() if len(rows) == 1} == set(Base.metadata.tables)
    scripts = ScriptDirectory.from_config(config)
    newest_first = [script.revision for script in scripts.walk_revisions()]
    for steps in (newest_first[1:], newest_first[-2::-1]):
        for revision in steps:
            way = command.downgrade if steps[0] == newest_first[1] else command.upgrade
            way(config, revision)
            now = content(empty)
            one, other = shared(before, now)
            assert one == other, revision
            before = now
            if revision == newest_first[-1]:
                oldest = set(now)
    lost = {name for name, rows in before.items() if not rows}
    assert not lost & oldest, "only what a downgrade drops comes back empty"
    with empty.transaction() as session:
        session.execute(text("DELETE FROM strategies"))
    assert content(empty)["runs"] == [], "the references are in force again"


def test_what_is_there_becomes_the_first_version(empty: Database) -> None:
    migrations.upgrade(empty)
    add_rows(empty)
    with empty.transaction() as session:
        session.add(Artifact(sha256="b" * 64, content=b"old", created_at=1.0))
        session.flush()
        row = session.scalars(select(Strategy)).one()
        versions.add(session, row, Origin.CREATE, "key:1")
        row.artifact_sha256 = "b" * 64
        versions.add(session, row, Origin.CREATE, "key:1")
        row.artifact_sha256 = "a" * 64
    command.downgrade(migrations.alembic_config(empty), "0004")
    with empty.reading() as session:
        assert session.execute(text("SELECT sha256 FROM artifacts")).scalars().all() == ["a" * 64]
        assert session.execute(text("SELECT run_id FROM runs")).scalars().all() == ["r1"]
    migrations.upgrade(empty)
    with empty.reading() as session:
        row = session.scalars(select(Strategy)).one()
        version = session.scalars(select(StrategyVersion)).one()
        assert (row.version, version.version, version.origin) == (1, 1, "create")
        assert (row.env_bytes, row.secret_bytes) == (3, 0)
        assert defining(version) == defining(row)


def test_models_and_migrations_agree(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_there_is_one_head(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path}/x.db")) as database:
        scripts = ScriptDirectory.from_config(migrations.alembic_config(database))
        assert len(scripts.get_heads()) == 1
        assert len(scripts.get_bases()) == 1


def test_the_database_itself_refuses_what_must_not_be(database: Database) -> None:
    add_rows(database)
    with database.reading() as session:
        client_id = session.scalars(select(Client.client_id)).one()

    def refused(row: object) -> None:
        with pytest.raises(IntegrityError), database.transaction() as session:
            session.add(row)

    refused(strategy(client_id, strategy_id="s2"))  # the name is taken
    refused(strategy(client_id, strategy_id="s2", name="b", status="paused"))
    refused(strategy("nobody", strategy_id="s2", name="b"))
    refused(strategy(client_id, strategy_id="s2", name="b", artifact_sha256="b" * 64))
    refused(
        Run(
            run_id="r2",
            strategy_id="s1",
            epoch=1,
            runner_id="another",
            artifact_sha256="a" * 64,
            started_at=2.0,
        )
    )
    with database.transaction() as session:
        session.add(strategy(client_id, strategy_id="s3", deleted_at=1.0))
        session.add(strategy(client_id, strategy_id="s4", is_sandbox=True))


def test_the_clock_is_the_databases_own(database: Database) -> None:
    import time

    from app.database import database_now

    with database.reading() as session:
        before = time.time()
        now = session.scalars(select(database_now())).one()
        assert before - 1 < now < time.time() + 1
        assert session.scalar(text("SELECT 1")) == 1
