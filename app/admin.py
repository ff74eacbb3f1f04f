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
from app.clients.service import KeyHasher, create_key, ensure_client
from app.database import Database
from app.secrets.envelope import generate_key_pair
from app.settings import Role, Settings, SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status says whether it worked."""
    options = _parser().parse_args(arguments)
    if options.command == "generate-keys":
        sys.stdout.write(generate_keys())
        return 0
    try:
        settings = load(Role.SCHEDULER if options.command == "migrate" else Role.ADMIN, os.environ)
        if options.command == "migrate":
            migrate(settings)
        else:
            sys.stdout.write(create_client(settings, options.code, options.label))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.admin", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate-keys", help="print new keys as lines for .env")
    commands.add_parser("migrate", help="bring the database's schema up to date")
    create = commands.add_parser("create-client", help="make a client and its first keys")
    create.add_argument("code", help="short code, 1-32 of small letters, digits and '-'")
    create.add_argument("--label", default="bootstrap", help="label of the keys")
    return parser


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
