"""``sequence admin``: the operator's commands, on the server itself."""

import os
import subprocess
import sys

import click

from sequence_cli.dev.procfile import project_root


@click.command(
    context_settings={"ignore_unknown_options": True},
    short_help="Make clients and keys, on the server.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def admin(arguments: tuple[str, ...]) -> int:
    """Run a command of the platform itself: create-client, create-key, list-keys, revoke-key,
    rotate-keys, set-quotas, set-log-retention, show-log-retention, generate-keys, migrate.
    Without arguments it shows what each of them takes.

    They speak to the database, with the environment of the platform's own processes.
    """
    command = [sys.executable, "-m", "app.admin", *(arguments or ["--help"])]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=project_root(), env=environ, check=False).returncode
