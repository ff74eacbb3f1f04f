"""What a program finds around itself: its environment, its manifest, and no way out."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .dev_platform import DevPlatform
from .support import CommandLine, wait_for

SHOW = """
import json, os
shown = {name: value for name, value in os.environ.items() if name != "SEQUENCE_API_KEY"}
manifest = json.load(open(os.environ["SEQUENCE_STRATEGY_MANIFEST"]))
print(json.dumps({"environ": shown, "manifest": manifest,
    "key": [os.environ["SEQUENCE_API_KEY"][:9], len(os.environ["SEQUENCE_API_KEY"])],
    "lengths": {name: len(os.environ[name]) for name in ("TOKEN", "BOTH", "HOOK")}}))
print("the token is", os.environ["TOKEN"], "and the key", os.environ["SEQUENCE_API_KEY"])
"""

TOML = """
[strategy]
name = "shown"
[hosted]
entrypoint = "main.py"
[hosted.env]
LEVEL = "info"
KEPT = "from the file"
BOTH = "as env"
[hosted.secrets]
TOKEN = "token-of-the-file"
BOTH = "as a secret, which is longer"
"""

REACH = """
import json, os, socket, urllib.request

def get(path, key=None):
    headers = {"Authorization": "Bearer " + key} if key else {}
    request = urllib.request.Request(os.environ["SEQUENCE_API_URL"] + path, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.status

def refusal(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return type(error).__name__
    return "reached"

def connect(host, port):
    socket.create_connection((host, port), timeout=3).close()

def ask(host, port):
    # A datagram leaves a socket without an error; the refusal comes back to it.
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect((host, port))
        asking.send(b"x")
        asking.recv(1)

port = int(os.environ["LISTENER_PORT"])
relay = os.environ["SEQUENCE_API_URL"].split("/")[2].split(":")[0]
shown = {
    "health": get("/v1/health/live"),
    "rows": get("/v1/strategies", os.environ["SEQUENCE_API_KEY"]),
    "loopback": refusal(connect, "127.0.0.1", port),
    "relay": refusal(connect, relay, port),
    "redis": refusal(connect, relay, int(os.environ["REDIS_PORT"])),
    "host": refusal(connect, os.environ["HOST_ADDRESS"], port),
    "private": refusal(connect, "10.0.0.1", 443),
    "metadata": refusal(connect, "169.254.169.254", 80),
    "mail": refusal(connect, "1.1.1.1", 25),
}
if os.environ["BEYOND"]:
    shown |= {
        "name": refusal(socket.getaddrinfo, "example.com", 443),
        "internet": refusal(connect, "1.1.1.1", 443),
        "datagrams": refusal(ask, "1.1.1.1", 53),
    }
print(json.dumps(shown))
"""


@pytest.fixture
def listener() -> Iterator[tuple[int, list[Any]]]:
    """A port of this host, on every address, and the connections that came in on it."""
    guests: list[Any] = []
    with socket.create_server(("", 0)) as server:
        thread = threading.Thread(target=_welcome, args=(server, guests))
        thread.start()
        yield server.getsockname()[1], guests
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def _welcome(server: socket.socket, guests: list[Any]) -> None:
    while True:
        try:
            connection, address = server.accept()
        except OSError:
            return
        connection.close()
        guests.append(address)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that shows what it was given."""
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "main.py").write_text(SHOW)
    (tmp_path / "shown" / "Sequence.toml").write_text(TOML)
    return tmp_path / "shown"


def deployed(cli: CommandLine, platform: DevPlatform, folder: Path, *options: str) -> Any:
    """Deploy, wait for the end; the row, what the program showed, and its last words."""
    arguments = ["strategy", "deploy", str(folder), "--start", "--json", *options]
    row = json.loads(cli.run(*arguments))["strategy"]
    row = platform.live.wait(row["strategy_id"], status="stopped", status_reason="completed")
    shown = json.loads(platform.live.wait_line(row["strategy_id"], "{"))
    words = platform.live.wait_line(row["strategy_id"], "the token")
    platform.live.delete(row["strategy_id"])
    return row, shown, words


def test_everything_that_is_injected(cli: CommandLine, platform: DevPlatform, folder: Path) -> None:
    row, shown, words = deployed(cli, platform, folder, "--env", "HOOK=short")
    environ = shown["environ"]
    assert {name: environ[name] for name in environ if name.startswith("SEQUENCE_")} == {
        "SEQUENCE_API_URL": environ["SEQUENCE_API_URL"],
        "SEQUENCE_STRATEGY_ID": row["strategy_id"],
        "SEQUENCE_RUN_ID": row["run_id"],
        "SEQUENCE_RUN_EPOCH": "1",
        "SEQUENCE_CLIENT_ID": "dev",
        "SEQUENCE_IS_SANDBOX": "false",
        "SEQUENCE_STRATEGY_MANIFEST": "/workspace/.sequence/manifest.json",
    }
    assert environ["SEQUENCE_API_URL"].startswith("http://")
    assert environ["PYTHONUNBUFFERED"] == "1"
    assert shown["key"] == ["seq_live_", 73]
    assert environ["LEVEL"] == "info"
    assert shown["lengths"]["BOTH"] == len("as a secret, which is longer")
    hosted = shown["manifest"]["hosted"]
    assert hosted["entrypoint"] == "main.py"
    assert "secrets" not in hosted
    assert words == "the token is [secret TOKEN] and the key [secret SEQUENCE_API_KEY]"
    leaks = ("DATABASE_URL", "REDIS_URL", "CREDENTIAL_ENCRYPTION_KEY", "API_KEY_HASH_KEY")
    assert not set(leaks) & environ.keys()


def test_options_win_over_the_file_for_that_one_deploy(
    cli: CommandLine, platform: DevPlatform, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"TOKEN": "t" * 40, "HOOK": "h" * 50}))
    (tmp_path / "manifest.json").write_text(json.dumps({"pairs": [{"kalshi": "KX"}]}))
    row, shown, words = deployed(
        cli,
        platform,
        folder,
        *("--env", "LEVEL=debug", "--env", "MORE=1"),
        *("--secrets-file", str(tmp_path / "secrets.json")),
        *("--manifest", str(tmp_path / "manifest.json")),
        *("--memory-mb", "96", "--cpu-millis", "500", "--latency-target", "coinbase"),
    )
    environ = shown["environ"]
    assert (environ["LEVEL"], environ["MORE"], environ["KEPT"]) == ("debug", "1", "from the file")
    assert shown["lengths"] == {"TOKEN": 40, "BOTH": 28, "HOOK": 50}
    assert shown["manifest"] == {"pairs": [{"kalshi": "KX"}]}
    assert row["resources"] == {"memory_mb": 96, "cpu_millis": 500, "timeout_secs": 0}
    assert row["latency_target"] == "coinbase"
    assert "t" * 40 not in words


@pytest.mark.parametrize("network", [{"mode": "none"}, {}], ids=["closed", "by default"])
def test_the_api_is_all_that_a_program_reaches(
    platform: DevPlatform, listener: tuple[int, list[Any]], network: dict[str, str]
) -> None:
    """All there is where the network is closed; where it is as the runner has it, all of the host
    and around it. Whether there is an internet to reach is the machine's own affair."""
    port, guests = listener
    with socket.create_connection(("127.0.0.1", port)):
        wait_for("the listener's answer to ourselves", lambda: len(guests) == 1)
    api = platform.live
    env = {
        "LISTENER_PORT": str(port),
        "REDIS_PORT": platform.facts["redis_url"].rpartition(":")[2].split("/")[0],
        "HOST_ADDRESS": own_address(),
        "BEYOND": "yes" if network else "",
    }
    row = api.create("reach", REACH, env=env, network=network, sequence_api_key=api.key)
    strategy_id = row["strategy_id"]
    api.wait(strategy_id, status="stopped", status_reason="completed")
    reached = json.loads(api.wait_line(strategy_id, "{"))
    api.delete(strategy_id)
    assert (reached.pop("health"), reached.pop("rows")) == (200, 200)
    assert len(reached) == (10 if network else 7)
    assert "reached" not in reached.values(), reached
    assert "TimeoutError" not in reached.values(), "a refusal is quick"
    assert len(guests) == 1


def own_address() -> str:
    """That of this host towards the internet, where it has one; nothing is sent."""
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(asking.getsockname()[0])
