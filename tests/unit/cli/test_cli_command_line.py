"""The command itself: version, help, usage errors, start-up, interruption."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_api_server import STRATEGY_ID, Answer, Stream, strategy_row

from sequence_cli.main import cli

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the distribution's metadata is found."""
    info = tmp_path / "site" / "sequence_platform-7.6.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sequence-platform\nVersion: 7.6.5\n"
    )
    path = os.pathsep.join([str(info.parent), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path}


def test_version_is_the_distributions_and_loads_no_command(installed: dict[str, str]) -> None:
    program = (
        "import sys; from sequence_cli.main import main; status = main(['--version']);"
        "heavy = {'urllib3', 'pathspec', 'sequence_cli.commands'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=installed, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "sequence 7.6.5\n",
        "",
    )


def _walk(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    ctx = click.Context(command)
    paths = [path]
    for name in command.list_commands(ctx):
        member = command.get_command(ctx, name)
        assert member is not None
        paths += _walk(member, (*path, name))
    return paths


@pytest.mark.parametrize("path", _walk(cli, ()), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], run) -> None:
    result = run(*path, "--help")
    assert result.status == 0
    assert result.out.startswith("Usage: sequence")


@pytest.mark.parametrize("command", ["login", "strategy list", "strategy deploy", "strategy logs"])
def test_help_names_the_environment_variables(command: str, run) -> None:
    text = run(*command.split(), "--help").out
    assert "SEQUENCE_API_URL" in text
    assert "SEQUENCE_API_KEY" in text


def test_mistyped_command_is_a_usage_error_with_the_nearest(run) -> None:
    result = run("strategy", "lgos", "x")
    assert result.status == 2
    assert "error: there is no command 'lgos'. Did you mean 'logs'?" in result.err


@pytest.mark.parametrize("line", ["", "strategy"])
def test_group_alone_shows_its_help(line: str, run) -> None:
    result = run(*line.split())
    assert result.status == 2
    assert "Commands:" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("strategy deploy", "Missing argument 'DIR'"),
        ("strategy deploy . --memory-mb lots", "'lots' is not a valid integer"),
        ("strategy deploy . --env NOVALUE", "'NOVALUE' is not KEY=VALUE"),
        ("strategy logs x --follow --run y", "cannot be combined with --follow"),
        ("strategy list --jsn", "--jsn"),
        ("login --profile a.b", "letters, digits"),
    ],
)
def test_usage_errors_end_with_2(arguments: str, message: str, run, api) -> None:
    result = run(*arguments.split())
    assert result.status == 2
    assert message in result.err
    assert "error: " in result.err
    assert api.received == []


def test_interrupt_is_quiet(api) -> None:
    api.answer("GET", "/v1/strategies", Answer({"strategies": [strategy_row()]}))
    record = b'data: {"id":"1-0","run_id":"r","ts_ms":1,"stream":"stdout","line":"first"}\n\n'
    held = Stream((b"id: 1-0\nevent: log\n", record), hold=True)
    api.answer("GET", f"/v1/strategies/{STRATEGY_ID}/logs", held)
    # Tests in a shell's background ignore it, and what they start would as well.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "sequence_cli.main"]
    command += ["strategy", "logs", "heartbeat", "-f"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.strip() == ""


def test_reader_that_leaves_is_no_error(api) -> None:
    rows = [strategy_row(name=f"strategy-{number}" * 40) for number in range(2000)]
    api.answer("GET", "/v1/strategies", Answer({"strategies": rows}))
    command = [sys.executable, "-m", "sequence_cli.main", "strategy", "list"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=10)
    assert err == b""
    assert process.returncode == 1
