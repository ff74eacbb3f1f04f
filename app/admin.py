"""Operator's commands on the server: `python -m app.admin COMMAND`.

They speak to the database directly, so whoever can run them owns the platform anyway.
"""

import argparse
import json
import os
import secrets
import sys
from base64 import b64encode

from sqlalchemy.exc import SQLAlchemyError

from app import migrations
from app.clients import log_retention
from app.clients.log_retention import BOUNDS
from app.clients.service import KeyHasher, create_key, ensure_client
from app.database import Database
from app.secrets.envelope import generate_key_pair
from app.settings import Role, Settings, SettingsError, load

_ROLES = {"create-client": Role.ADMIN}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status says whether it worked."""
    options = _parser().parse_args(arguments)
    if options.command == "generate-keys":
        sys.stdout.write(generate_keys())
        return 0
    try:
        settings = load(_ROLES.get(options.command, Role.SCHEDULER), os.environ)
        if options.command == "migrate":
            migrate(settings)
        elif options.command == "create-client":
            sys.stdout.write(create_client(settings, options.code, options.label))
        elif options.command == "set-log-retention":
            given = {name: value for name in BOUNDS if (value := getattr(options, name))}
            sys.stdout.write(set_log_retention(settings, options.code, given))
        else:
            sys.stdout.write(show_log_retention(settings, options.code))
    except (SettingsError, ValueError) as error:
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


def migrate(settings: Settings) -> None:
    """Bring the schema to the newest revision; what the `release` process does."""
    database = Database(settings.database_url)
    try:
        migrations.upgrade(database)
    finally:
        database.close()


def create_client(settings: Settings, code: str, label: str) -> str:
    """Make a client, if it is not there, and a live and a sandbox key for it: one line of JSON."""
    database = Database(settings.database_url)
    hasher = KeyHasher(settings.api_key_hash_key)
    try:
        with database.transaction() as session:
            client = ensure_client(session, code)
            live = create_key(session, hasher, client, is_sandbox=False, label=label)
            test = create_key(session, hasher, client, is_sandbox=True, label=label)
    finally:
        database.close()
    return json.dumps({"client": code, "api_key": live.raw, "test_api_key": test.raw}) + "\n"


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate-keys", help="print new keys as lines for .env")
    commands.add_parser("migrate", help="bring the database's schema up to date")
    create = commands.add_parser("create-client", help="make a client and its first keys")
    create.add_argument("code", help="short code, 1-32 of small letters, digits and '-'")
    create.add_argument("--label", default="bootstrap", help="label of the keys")
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
