"""``sequence doctor``: could this machine run strategies?"""

import os
import subprocess
import sys

import click

from sequence_cli.dev.procfile import project_root


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout.")
@click.option(
    "--name",
    envvar="RUNNER_NAME",
    show_envvar=True,
    help="The runner's own name, when control groups were made for it beforehand.",
)
@click.option(
    "--first-uid",
    envvar="RUNNER_FIRST_UID",
    show_envvar=True,
    type=click.IntRange(min=1000),
    help="The first user id that the runner gives to a sandbox.",
)
@click.option(
    "--uplink",
    envvar="RUNNER_UPLINK",
    show_envvar=True,
    type=click.Choice(["auto", "user", "veth", "none"]),
    help="The runner's way to the internet.",
)
def doctor(as_json: bool, name: str | None, first_uid: int | None, uplink: str | None) -> int:
    """Check whether a runner could start on this machine, and say what to do where it could not.

    Exit status 0 when it could, 1 when not. Run it as the user who will run the runner.
    """
    command = [sys.executable, "-m", "sandbox.doctor"]
    command += ["--json"] if as_json else []
    command += ["--name", name] if name else []
    command += ["--first-uid", str(first_uid)] if first_uid else []
    command += ["--uplink", uplink] if uplink else []
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=project_root(), env=environ, check=False).returncode
