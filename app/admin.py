"""Operator's commands on the server: `sequence admin COMMAND`.

They speak to the database directly, so whoever can run them owns the platform anyway.
"""

import argparse
import json
import os
import secrets
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app import migrations
from app.account import quotas
from app.clients import log_retention, service
from app.clients.log_retention import BOUNDS
from app.clients.models import ApiKey, Client
from app.clients.revocations import revoke_known
from app.clients.service import KeyHasher, KeyKind, Scope, ensure_client
from app.database import Database, database_now
from app.redis_client import connect
from app.secrets.envelope import Opener, generate_key_pair
from app.secrets.keys import CredentialKeyError
from app.secrets.rotation import Plan, Rotation, rotate
from app.settings import Role, Settings, SettingsError, load

_ROLES = {
    "create-client": Role.ADMIN,
    "create-key": Role.ADMIN,
    "rotate-keys": Role.ROTATION,
}
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status says whether it worked."""
    options = _parser().parse_args(arguments)
    if options.command == "generate-keys":
        sys.stdout.write(generate_keys())
        return 0
    try:
        settings = load(_ROLES.get(options.command, Role.SCHEDULER), os.environ)
        sys.stdout.write(_COMMANDS[options.command](settings, options))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what is done stays done: run it again to go on\n")
        return _INTERRUPTED
    except (SettingsError, ValueError, CredentialKeyError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except SQLAlchemyError as error:
        sys.stderr.write(f"error: the database refused: {_first_line(error)}\n")
        return 1
    return 0


def generate_keys() -> str:
    """The lines that `.env` needs, with new keys."""
    private, public = generate_key_pair()
    hash_key = b64encode(secrets.token_bytes(32)).decode()
    return (
        f"CREDENTIAL_ENCRYPTION_KEY={private}\n"
        f"CREDENTIAL_PUBLIC_KEY={public}\n"
        f"API_KEY_HASH_KEY={hash_key}\n"
    )


def migrate(settings: Settings) -> str:
    """Bring the schema to the newest revision; what the `release` process does."""
    database = Database(settings.database_url)
    try:
        migrations.upgrade(database)
    finally:
        database.close()
    return ""


def create_client(settings: Settings, code: str, label: str) -> str:
    """Make a client, if it is not there, and a live and a sandbox key for it: one line of JSON."""
    database = Database(settings.database_url)
    hasher = KeyHasher(settings.api_key_hash_key)
    try:
        with database.transaction() as session:
            client = ensure_client(session, code)
            live = service.create_key(session, hasher, client.client_id, KeyKind(False, label))
            test = service.create_key(session, hasher, client.client_id, KeyKind(True, label))
    finally:
        database.close()
    return json.dumps({"client": code, "api_key": live.raw, "test_api_key": test.raw}) + "\n"


def create_key(settings: Settings, code: str, kind: KeyKind) -> str:
    """Make one more key for a client that is there: one line of JSON."""
    with closing(Database(settings.database_url)) as database, database.transaction() as session:
        client = session.scalar(select(Client).where(Client.code == code))
        if client is None:
            raise ValueError(f"there is no client {code!r}; make it with create-client")
        hasher = KeyHasher(settings.api_key_hash_key)
        new = service.create_key(session, hasher, client.client_id, kind)
        shown = {"client": code, "key_id": new.row.key_id, "scopes": new.row.scopes}
    return json.dumps({**shown, "api_key": new.raw}) + "\n"


def rotate_keys(settings: Settings, plan: Plan) -> str:
    """Seal everything for the newest key: a line of JSON, and in words on stderr what is next.

    Raises:
        CredentialKeyError: it would not be safe now; the message says what to do first.
    """
    opener = Opener(settings.credential_encryption_key)
    public_key = opener.newest_public_key
    if plan.retire and settings.credential_public_key not in ("", public_key):
        raise CredentialKeyError(
            "CREDENTIAL_PUBLIC_KEY is not the public half of the newest key, and web processes "
            f"that still have it could seal no more: give them {public_key} first"
        )
    with closing(Database(settings.database_url)) as database:
        done = rotate(database, opener, plan, lambda text: _tell(f"rotate-keys: {text}"))
    for row in done.unreadable:
        _tell(f"warning: no key at hand opens {row}; deploy that strategy again")
    _tell(_what_is_next(done, plan, public_key))
    shown = {"key_id": done.key_id, "data_keys": done.data_keys}
    lists = {"unreadable": list(done.unreadable), "may_be_removed": list(done.ended)}
    return json.dumps(shown | lists) + "\n"


def _what_is_next(done: Rotation, plan: Plan, public_key: str) -> str:
    if not plan.retire:
        return (
            f"All that opens is sealed for {done.key_id}. Next: give every web process "
            f"CREDENTIAL_PUBLIC_KEY={public_key}, then run rotate-keys --retire. Keep the old keys "
            "until then."
        )
    if not done.ended:
        return f"{done.key_id} is the only key in force."
    ended = ", ".join(done.ended)
    return f"Nothing needs {ended} any more: remove it from CREDENTIAL_ENCRYPTION_KEY everywhere."


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def list_keys(settings: Settings, code: str) -> str:
    """The valid keys of a client, one line of JSON for each, without the keys themselves."""
    shown = ("key_id", "prefix", "label", "is_sandbox", "scopes", "last_used_at", "expires_at")
    with closing(Database(settings.database_url)) as database, database.reading() as session:
        rows = session.scalars(
            select(ApiKey)
            .join(Client, Client.client_id == ApiKey.client_id)
            .where(Client.code == code, service.is_valid())
            .order_by(ApiKey.created_at)
        )
        return "".join(json.dumps({k: getattr(row, k) for k in shown}) + "\n" for row in rows)


def revoke_key(settings: Settings, key_id: str) -> str:
    """End a key at once."""
    with closing(Database(settings.database_url)) as database, database.transaction() as session:
        row = session.get(ApiKey, key_id)
        if row is None:
            raise ValueError(f"there is no API key {key_id!r}; list-keys shows them")
        if row.revoked_at is None:
            row.revoked_at = session.scalars(select(database_now())).one()
    with closing(connect(settings.redis_url)) as redis:
        # Or, while Redis is away, web processes know the key for some seconds more.
        revoke_known(redis)
    return json.dumps({"key_id": key_id, "revoked": True}) + "\n"


def set_quotas(settings: Settings, code: str, pairs: Sequence[str]) -> str:
    """Give a client quotas of its own: `name=number`, or `name=` for that of the settings."""
    wanted = dict(pair.partition("=")[::2] for pair in pairs)
    for name, number in wanted.items():
        is_number = number.isascii() and number.isdecimal()
        if name not in quotas.NAMES or not (is_number or not number):
            known = ", ".join(quotas.NAMES)
            raise ValueError(f"{name}={number}: give one of {known} a number, 0 for no limit")
    with closing(Database(settings.database_url)) as database, database.transaction() as session:
        client = session.scalar(select(Client).where(Client.code == code))
        if client is None:
            raise ValueError(f"there is no client {code!r}; make it with create-client")
        kept = {name: limit for name, limit in client.quotas.items() if name not in wanted}
        client.quotas = kept | {name: int(number) for name, number in wanted.items() if number}
        limits = quotas.limits(settings, client)
    return json.dumps({"client": code, "quotas": limits}) + "\n"


def set_log_retention(settings: Settings, code: str, given: dict[str, str]) -> str:
    """Change how much of a client's logs is kept: what holds now, as a line of JSON.

    Raises:
        ValueError: nothing to change, no such client, or a value out of its bounds.
    """
    if not given:
        raise ValueError("give one or more of " + ", ".join(f"--{name}" for name in BOUNDS))
    database = Database(settings.database_url)
    try:
        with database.transaction() as session:
            log_retention.change(session, code, given)
    finally:
        database.close()
    return show_log_retention(settings, code)


def show_log_retention(settings: Settings, code: str | None) -> str:
    """How much of the logs of each client, or of one, is kept: a line of JSON each.

    Raises:
        ValueError: there is no such client.
    """
    database = Database(settings.database_url)
    try:
        with database.reading() as session:
            found = log_retention.told(session, code)
    finally:
        database.close()
    default = {
        "days": settings.log_kept_days,
        "bytes": settings.log_archive_max_bytes,
        "runs": settings.log_runs_kept,
    }
    return "".join(json.dumps(one | {"default": default}) + "\n" for one in found)


_COMMANDS: dict[str, Callable[[Settings, Any], str]] = {
    "migrate": lambda settings, _: migrate(settings),
    "create-client": lambda settings, given: create_client(settings, given.code, given.label),
    "create-key": lambda settings, given: create_key(
        settings, given.code, KeyKind(given.sandbox, given.label, given.scopes)
    ),
    "rotate-keys": lambda settings, given: rotate_keys(
        settings, Plan(given.retire, tuple(given.lost))
    ),
    "list-keys": lambda settings, given: list_keys(settings, given.code),
    "set-quotas": lambda settings, given: set_quotas(settings, given.code, given.quotas),
    "revoke-key": lambda settings, given: revoke_key(settings, given.key_id),
    "set-log-retention": lambda settings, given: set_log_retention(
        settings, given.code, {name: text for name in BOUNDS if (text := getattr(given, name))}
    ),
    "show-log-retention": lambda settings, given: show_log_retention(settings, given.code),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sequence admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate-keys", help="print new keys as lines for .env")
    commands.add_parser("migrate", help="bring the database's schema up to date")
    create = commands.add_parser("create-client", help="make a client and its first keys")
    create.add_argument("code", help="short code, 1-32 of small letters, digits and '-'")
    create.add_argument("--label", default="bootstrap", help="label of the keys")
    key = commands.add_parser("create-key", help="make one more key for a client")
    key.add_argument("code", help="code of the client")
    key.add_argument("--label", default="operator", help="label of the key")
    key.add_argument("--sandbox", action="store_true", help="a seq_test_ key")
    names = [str(scope) for scope in Scope]
    key.add_argument("--scopes", nargs="+", choices=names, default=names, help="all by default")
    rotation = commands.add_parser(
        "rotate-keys", help="seal all secrets for the first key of CREDENTIAL_ENCRYPTION_KEY"
    )
    rotation.add_argument("--retire", action="store_true", help="end the other keys as well")
    rotation.add_argument(
        "--lost", nargs="+", default=[], metavar="ID", help="keys that nobody has any more"
    )
    keys = commands.add_parser("list-keys", help="show a client's valid keys")
    keys.add_argument("code", help="code of the client")
    quota = commands.add_parser("set-quotas", help="give a client quotas of its own")
    quota.add_argument("code", help="code of the client")
    quota.add_argument("quotas", nargs="+", help="name=number, or name= for that of the settings")
    revoke = commands.add_parser("revoke-key", help="end a key at once")
    revoke.add_argument("key_id", help="as list-keys shows it")
    keep = commands.add_parser(
        "set-log-retention", help="say how much of a client's logs is kept; 'default': by .env"
    )
    keep.add_argument("code", help="the client's code")
    keep.add_argument("--days", help="age of archived lines; 0: as long as their run")
    keep.add_argument("--bytes", help="archive of each strategy, compressed")
    keep.add_argument("--runs", help="runs of each strategy")
    show = commands.add_parser("show-log-retention", help="what is set for clients: JSON lines")
    show.add_argument("code", nargs="?", help="the client's code; all of them without it")
    return parser


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
