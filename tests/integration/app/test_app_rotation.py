"""Key rotation: everything sealed anew while the platform works, and no key ended too early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, inspect, select, text
from support.api import Caller, Web, error, web
from support.environments import Keys
from support.owners import Rows, claimed, claims_of
from support.waiting import wait_until

from app.database import Database
from app.deployments import repository as versions
from app.deployments.models import Origin, StrategyVersion
from app.models import CredentialKey, Strategy
from app.secrets import keys
from app.secrets.envelope import Opener, Wrapped, generate_key_pair
from app.secrets.keys import CredentialKeyError
from app.secrets.layers import open_secrets
from app.secrets.rotation import Plan, Rotation, rotate
from app.strategies import lifecycle
from app.strategies.definition import defining

SECRETS = {"TOKEN": "canary-1", "OTHER": "canary-2"}
NEW = generate_key_pair()
RETIRE = Plan(retire=True)


@pytest.fixture
def pair() -> tuple[str, str]:
    """The key pair that is in force at first."""
    return Keys().pair


@pytest.fixture
def old(database_url: str, redis_url: str, pair: tuple[str, str]) -> Iterator[Web]:
    """A web process that seals with it."""
    with web(database_url, redis_url, CREDENTIAL_PUBLIC_KEY=pair[1]) as one:
        yield one


@pytest.fixture
def owner(old: Web) -> Caller:
    """An owner there, whose key the strategies are given."""
    return old.caller()


@pytest.fixture
def both(pair: tuple[str, str]) -> Opener:
    """What runners hold during a rotation."""
    return Opener([NEW[0], pair[0]])


def deploy(owner: Caller, name: str = "a") -> str:
    """A strategy with all that can be sealed, in three versions; its id."""
    row = owner.created(name, secrets=SECRETS, sequence_api_key=owner.key)
    id: str = row["strategy_id"]
    for value in ("canary-3", "canary-4"):
        assert owner.patch(id, secrets={"TOKEN": value}).status_code == 200
    return id


def run(database: Database, opener: Opener, plan: Plan | None = None) -> Rotation:
    return rotate(database, opener, plan or Plan(), lambda _: None)


def opened(database: Database, opener: Opener) -> list[Any]:
    """The secrets of every row of both tables, each of which must open."""
    found = []
    with database.reading() as session:
        for model in (Strategy, StrategyVersion):
            for row in session.scalars(select(model).order_by(*inspect(model).primary_key)):
                id = row.strategy_id
                secrets = open_secrets(
                    opener, row.sealed("secrets"), row.secrets_changes, strategy_id=id
                )
                key = row.sealed("sequence_api_key")
                if key is not None:
                    assert opener.open(key, strategy_id=id, column="sequence_api_key")
                found.append(secrets)
    return found


def is_anywhere(database: Database, needle: str) -> list[str]:
    """The tables that hold this text; that of the keys themselves aside."""
    found = []
    with database.reading() as session:
        for table in sorted(set(inspect(database.engine).get_table_names()) - {"credential_keys"}):
            rows = session.execute(text(f'SELECT * FROM "{table}"')).all()
            found += [table] if needle in repr(rows) else []
    return found


def test_everything_is_sealed_anew_and_opens_as_before(
    old: Web, owner: Caller, database: Database, both: Opener, pair: tuple[str, str]
) -> None:
    for name in "ab":
        deploy(owner, name)
    before = opened(database, Opener([pair[0]]))
    assert len(before) == 8
    assert before[0] == SECRETS | {"TOKEN": "canary-4"}
    done = run(database, both)
    # Per strategy: row and three versions with two slots each, and 2 + 0 + 1 + 2 layers.
    assert (done.data_keys, done.unreadable, done.ended) == (2 * (8 + 5), (), ())
    assert opened(database, Opener([NEW[0]])) == before
    assert is_anywhere(database, old.services.sealer.key_id) == []
    assert run(database, both).data_keys == 0


def test_retiring_ends_the_old_key_for_good(
    old: Web, owner: Caller, database: Database, both: Opener, redis_url: str
) -> None:
    deploy(owner)
    run(database, both)
    owner.created("during", secrets=SECRETS)  # an old web process may seal with the old key so far
    done = run(database, both, RETIRE)
    assert (done.data_keys, done.ended) == (2, (old.services.sealer.key_id,))
    refused = error(owner.create("late", secrets=SECRETS), 503, "SERVICE_UNAVAILABLE")
    assert "canary" not in str(refused)
    owner.created("no secrets")
    row = owner.created("during")
    assert owner.patch(row["strategy_id"], secrets={"A": "b"}).status_code == 503
    with web(database.url, redis_url, CREDENTIAL_PUBLIC_KEY=NEW[1]) as one:
        one.caller("other").created("x", secrets=SECRETS)
    assert opened(database, Opener([NEW[0]]))


class Dying(Opener):
    """Interrupted after so many data keys."""

    left = 130

    def rewrap(self, wrapped_key: bytes, key_id: str) -> Wrapped | None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().rewrap(wrapped_key, key_id)


def test_an_interrupted_rotation_leaves_all_open_and_goes_on(
    old: Web, owner: Caller, database: Database, pair: tuple[str, str], both: Opener
) -> None:
    id = deploy(owner)
    copy_versions(database, id, 100)
    before = opened(database, both)
    with pytest.raises(KeyboardInterrupt):
        run(database, Dying([NEW[0], pair[0]]))
    assert is_anywhere(database, old.services.sealer.key_id)
    assert opened(database, both) == before
    with database.reading() as session:
        ids = session.scalars(select(StrategyVersion.secrets_key_id)).all()
    done = ids.count(both.key_ids[0])
    assert 0 < done < len(ids)
    assert run(database, both).data_keys > 0
    assert opened(database, Opener([NEW[0]])) == before


def copy_versions(database: Database, id: str, count: int) -> None:
    """Further versions like the first, by the dozen."""
    with database.transaction() as session:
        first = session.get_one(StrategyVersion, (id, 1))
        common = {"strategy_id": id, "origin": "update", "actor": "key:1", "created_at": 1.0}
        rows = [defining(first) | common | {"version": 1000 + n} for n in range(count)]
        session.execute(insert(StrategyVersion), rows)


def test_it_goes_on_beside_creates_claims_and_rollbacks(
    owner: Caller, database: Database, both: Opener
) -> None:
    first = deploy(owner, "first")
    copy_versions(database, first, 60)
    statuses: list[int] = []

    def work() -> None:
        claims = claims_of(database)
        for number in range(3):
            answer = owner.create(f"s{number}", secrets=SECRETS, start_immediately=True)
            statuses.append(answer.status_code)
            claim = claimed(claims, answer.json["strategy"]["strategy_id"])
            statuses.append(bool(claim.secrets))
            path = f"/strategies/{first}/rollback"
            statuses.append(owner.post(path, json={"version": 1 + number % 2}).status_code)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        run(database, both)
    thread.join()
    assert set(statuses) <= {200, 201, True}
    assert len(statuses) == 9
    run(database, both, RETIRE)
    assert opened(database, Opener([NEW[0]]))


def test_a_copy_under_way_does_not_escape(
    old: Web, owner: Caller, database: Database, both: Opener
) -> None:
    """A rollback that has read the old key when the rotation begins, and commits after it."""
    id = deploy(owner)
    done: list[Rotation] = []
    thread = threading.Thread(target=lambda: done.append(run(database, both, RETIRE)))
    with database.transaction() as session:
        row = lifecycle.lock(session, id)
        source = versions.hold(session, id, 1)
        assert row is not None
        assert source is not None
        thread.start()
        if database.engine.dialect.name == "postgresql":
            # All but what is locked is done meanwhile; SQLite has one writer at a time.
            wait_until(lambda: rotated(database, id, both) >= {2, 3}, "the others")
        versions.bring_back(session, row, source, Origin.ROLLBACK, "key:1")
    thread.join()
    assert done[0].ended == (old.services.sealer.key_id,)
    assert is_anywhere(database, old.services.sealer.key_id) == []
    assert len(opened(database, Opener([NEW[0]]))) == 5


def rotated(database: Database, id: str, opener: Opener) -> set[int]:
    with database.reading() as session:
        found = session.scalars(
            select(StrategyVersion.version).where(
                StrategyVersion.strategy_id == id,
                StrategyVersion.secrets_key_id == opener.key_ids[0],
            )
        )
        return set(found)


def test_a_row_that_does_not_open_is_named_and_holds_nobody_up(
    owner: Caller, database: Database, both: Opener, rows: Rows
) -> None:
    bad, good = deploy(owner, "bad"), deploy(owner, "good")
    rows.change(bad, secrets_wrapped_key=b"x" * 80)
    done = run(database, both, RETIRE)
    assert done.unreadable == (f"strategies {bad}",)
    assert rows.strategy(good).secrets_key_id == both.key_ids[0]
    assert rows.strategy(bad).sequence_api_key_key_id == both.key_ids[0]


class TestWhatIsRefused:
    """What would leave something that nobody opens."""

    def test_a_runner_without_the_newest_key(
        self, owner: Caller, database: Database, both: Opener, rows: Rows
    ) -> None:
        deploy(owner)
        rows.add_runner("late", name="late", key_ids=list(both.key_ids[1:]))
        with pytest.raises(CredentialKeyError, match="late on host"):
            run(database, both)
        with database.reading() as session:
            assert keys.in_force(session) == {both.key_ids[1]}
        with database.transaction() as session:
            session.execute(text("DELETE FROM runners"))
        rows.add_runner("ready", key_ids=list(both.key_ids))
        assert run(database, both).data_keys

    def test_a_key_in_force_that_is_not_at_hand(
        self, owner: Caller, database: Database, both: Opener
    ) -> None:
        deploy(owner)
        new = Opener([NEW[0]])
        with pytest.raises(CredentialKeyError, match="--lost ID"):
            run(database, new, RETIRE)
        done = run(database, new, Plan(retire=True, lost=both.key_ids[1:]))
        assert (done.data_keys, len(done.unreadable), done.ended) == (0, 4, ())

    def test_processes_with_other_keys(
        self, old: Web, owner: Caller, database: Database, both: Opener
    ) -> None:
        deploy(owner)
        with database.transaction() as session:
            keys.check_sealing(session, old.services.sealer.key_id)
            keys.check_opening(session, both.key_ids)  # one more is no harm
            with pytest.raises(CredentialKeyError, match=both.key_ids[0]):
                keys.check_sealing(session, both.key_ids[0])
            with pytest.raises(CredentialKeyError, match=both.key_ids[1]):
                keys.check_opening(session, both.key_ids[:1])

    def test_two_first_ones_at_once(self, database: Database) -> None:
        gate = threading.Barrier(2)
        refused: list[str] = []

        def first(key_id: str) -> None:
            gate.wait()
            try:
                with database.transaction() as session:
                    keys.check_sealing(session, key_id)
            except CredentialKeyError:
                refused.append(key_id)

        threads = [threading.Thread(target=first, args=(id * 16,)) for id in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        with database.reading() as session:
            assert len(session.scalars(select(CredentialKey)).all()) == 1
