"""Login, profiles, and which of several sources wins."""

import os
import pty
import stat
import subprocess
import sys
import termios
import tomllib
from pathlib import Path

import pytest
from cli_api_server import Answer, error_answer, local_api
from cli_samples import KEY

from sequence_cli.config_file import ConfigFile, Profile, load_config, save_config
from sequence_cli.connection import ConnectionOptions, resolve_connection
from sequence_cli.errors import CliError

ROOT = Path(__file__).resolve().parents[3]
NOTHING = ConnectionOptions(None, None, None)


@pytest.fixture
def config(home: Path) -> Path:
    path = home / ".sequence" / "config.toml"
    profiles = {
        "default": Profile("http://file.example", "file-key"),
        "prod": Profile("https://prod.example/", "prod-key"),
    }
    save_config(path, ConfigFile("default", profiles))
    return path


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        (NOTHING, {}, ("http://file.example", "file-key")),
        (NOTHING, {"SEQUENCE_API_KEY": "env-key"}, ("http://file.example", "env-key")),
        (
            NOTHING,
            {"SEQUENCE_API_KEY": "env-key", "SEQUENCE_API_URL": "http://env.example"},
            ("http://env.example", "env-key"),
        ),
        (NOTHING, {"SEQUENCE_API_KEY": ""}, ("http://file.example", "file-key")),
        (
            ConnectionOptions("prod", None, None),
            {"SEQUENCE_API_KEY": "env-key", "SEQUENCE_API_URL": "http://env.example"},
            ("https://prod.example", "prod-key"),
        ),
        (
            ConnectionOptions("prod", "http://option.example", "option-key"),
            {"SEQUENCE_API_KEY": "env-key"},
            ("http://option.example", "option-key"),
        ),
    ],
)
def test_options_then_environment_then_file(options, environ, expected, config: Path) -> None:
    connection = resolve_connection(options, environ, config)
    assert (connection.api_url, connection.api_key) == expected


def test_default_url_without_any_file(home: Path) -> None:
    environ = {"SEQUENCE_API_KEY": "k"}
    connection = resolve_connection(NOTHING, environ, home / "none.toml")
    assert connection.api_url == "http://127.0.0.1:8000"


def test_no_key_says_what_to_do(run) -> None:
    result = run("strategy", "list")
    assert result.status == 1
    assert result.err == "error: no API key: run `sequence login` or set SEQUENCE_API_KEY\n"


@pytest.mark.usefixtures("config")
def test_unknown_profile_names_the_nearest(run) -> None:
    result = run("strategy", "list", "--profile", "prd")
    assert result.status == 1
    assert "there is no profile 'prd': known profiles: prod" in result.err


@pytest.mark.parametrize(
    "url", ["ftp://x", "127.0.0.1:8000", "http://", "http://a b", "http://[x", "http://h?q"]
)
def test_bad_url_is_one_line(url: str, run) -> None:
    result = run("strategy", "list", "--api-url", url, "--api-key", KEY)
    assert result.status == 1
    assert "is not the address of an API" in result.err


def test_key_with_a_line_break_is_refused_and_not_shown(run) -> None:
    result = run("strategy", "list", "--api-key", "seq_live_abc\nX-Evil: 1")
    assert result.status == 1
    assert "the API key contains" in result.err
    assert "Evil" not in result.err


def test_secrets_are_in_no_repr() -> None:
    connection = resolve_connection(
        ConnectionOptions(None, None, "hush"), {}, Path("no-such-file.toml")
    )
    assert "hush" not in repr(connection)
    assert "hush" not in repr(Profile("u", "hush"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("current = \n", "config.toml:1:11: "),
        ("current = 3\n", "`current` must be a string"),
        ("profiles = 3\n", "`profiles` a table"),
        ("profiles.default = 3\n", "profiles.default must be a table"),
        ("[profiles.default]\napi_key = 3\n", "profiles.default.api_key must be a string"),
    ],
)
def test_damaged_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(CliError, match=r"config\.toml") as caught:
        load_config(path)
    assert message in caught.value.message


def test_login_keeps_the_key_for_its_owner_only(api, home: Path, run) -> None:
    api.answer("GET", "/v1/strategies", Answer({"strategies": []}))
    result = run("login", "--api-url", api.url + "/", "--api-key", KEY)
    assert result.status == 0, result.err
    assert KEY not in result.out + result.err
    path = home / ".sequence" / "config.toml"
    assert tomllib.loads(path.read_text()) == {
        "current": "default",
        "profiles": {"default": {"api_url": api.url, "api_key": KEY}},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["config.toml"]
    assert api.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_login_adds_a_profile_and_makes_it_current(api, config: Path, run) -> None:
    api.answer("GET", "/v1/strategies", Answer({"strategies": []}))
    assert run("login", "--profile", "lab").status == 0
    stored = load_config(config)
    assert stored.current == "lab"
    assert set(stored.profiles) == {"default", "prod", "lab"}
    assert stored.profiles["prod"].api_key == "prod-key"


def test_refused_key_is_not_stored(api, home: Path, run) -> None:
    api.answer("GET", "/v1/strategies", error_answer(401, "UNAUTHORIZED", "invalid API key"))
    result = run("login")
    assert result.status == 1
    assert "error: invalid API key" in result.err
    assert not (home / ".sequence").exists()


def test_key_from_a_pipe(home: Path) -> None:
    with local_api() as api:
        api.answer("GET", "/v1/strategies", Answer({"strategies": []}))
        done = _login_process(home, input=f"{api.url}\n{KEY}\n")
        assert done.returncode == 0, done.stderr
        assert load_config(home / ".sequence" / "config.toml").profiles["default"].api_key == KEY


def test_nothing_to_ask_on(home: Path) -> None:
    done = _login_process(home, input="\n")
    assert done.returncode == 1
    assert "error: there is no terminal to ask on: pass --api-key" in done.stderr


def _login_process(home: Path, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sequence_cli.main", "login"]
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    return subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, **options
    )


def test_terminal_asks_and_hides_the_key(home: Path) -> None:
    with local_api() as api:
        api.answer("GET", "/v1/strategies", Answer({"strategies": []}))
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "sequence_cli.main", "login"],
            cwd=ROOT,
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        shown = _read_until(master, b"API URL [http://127.0.0.1:8000]:")
        os.write(master, api.url.encode() + b"\n")
        shown += _read_until(master, b"API key (not shown):")
        _wait_for_no_echo(slave)
        os.write(master, KEY.encode() + b"\n")
        shown += _read_until(master, b"logged in to")
        assert process.wait(timeout=10) == 0
        os.close(slave)
        os.close(master)
    assert KEY.encode() not in shown


def _read_until(master: int, text: bytes) -> bytes:
    """Blocks until ``text`` was shown; the process's end breaks the read with an error."""
    shown = b""
    while text not in shown:
        shown += os.read(master, 4096)
    return shown


def _wait_for_no_echo(terminal: int) -> None:
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        os.sched_yield()
