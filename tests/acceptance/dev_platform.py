"""`sequence dev` as a child process."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from support.tools import free_port

from . import processes
from .support import SEQUENCE, Api, CommandLine, clean_environ, wait_for

READY_WITHIN_S = 40.0
ENDS_WITHIN_S = 20.0
_NAMES = {
    "redis-server": "redis",
    "gunicorn": "web",
    "tasks.worker": "runner",
    "tasks.scheduler": "scheduler",
    "market.service": "market",
}


class DevPlatform:
    """One data folder's platform; may be started, ended and started again."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.data_dir = folder / "data"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.port = free_port()
        self.environ = environ
        self.facts: dict[str, Any] = {}
        self.runner_name = ""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it has printed its line."""
        arguments = ["dev", "--port", str(self.port), "--data-dir", str(self.data_dir), "--json"]
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                # Should the tests themselves be killed, nothing is left behind.
                ["setpriv", "--pdeathsig", "TERM", str(SEQUENCE), *arguments],
                env=clean_environ(self.home, **self.environ),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        wait_for("the line of `sequence dev`", self._has_line_or_ended, READY_WITHIN_S)
        assert self._process.poll() is None, self.stderr
        self.facts = json.loads(self.stdout)
        self.runner_name = self._variable("runner", "RUNNER_NAME")

    @property
    def stdout(self) -> str:
        """What it printed since its last start."""
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        """What it said since its last start."""
        return self._stderr.read_text()

    @property
    def pid(self) -> int:
        """Of `sequence dev` itself."""
        assert self._process is not None
        return self._process.pid

    @property
    def live(self) -> Api:
        """The API with the live key."""
        return Api(self.facts["api_url"], self.facts["api_key"])

    @property
    def test(self) -> Api:
        """The API with the sandbox key."""
        return Api(self.facts["api_url"], self.facts["test_api_key"])

    def command_line(self, api: Api | None = None) -> CommandLine:
        """The command with the platform's address and a key in its environment."""
        api = api or self.live
        return CommandLine(self.home, {"SEQUENCE_API_URL": api.url, "SEQUENCE_API_KEY": api.key})

    def pids(self) -> dict[str, int]:
        """The processes of the platform that run at this moment, by name."""
        return {
            name: process.pid
            for process in processes.children(self.pid)
            for sign, name in _NAMES.items()
            if sign in process.command
        }

    def is_ready(self) -> bool:
        """Whether the API, its database, Redis and the runner are all there."""
        try:
            return self.live.call("GET", "/v1/health/ready").status == 200
        except OSError:
            return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal; its exit status once it is gone, within the promised time."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(ENDS_WITHIN_S)

    def close(self) -> None:
        """End it whatever the test made of it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(ENDS_WITHIN_S + 10)

    def remains(self) -> list[str]:
        """Processes and control groups that are still there."""
        found = processes.of_platform(str(self.data_dir), self.runner_name)
        groups = processes.control_groups(self.runner_name)
        return [f"{p.pid} {p.command}" for p in found] + [str(group) for group in groups]

    def _has_line_or_ended(self) -> bool:
        assert self._process is not None
        return self.stdout.endswith("\n") or self._process.poll() is not None

    def _variable(self, name: str, variable: str) -> str:
        environ = (Path("/proc") / str(self.facts["pids"][name]) / "environ").read_bytes()
        values = dict(item.partition(b"=")[::2] for item in environ.split(b"\0"))
        return values[variable.encode()].decode()

    @property
    def _stdout(self) -> Path:
        return self._folder / "stdout"

    @property
    def _stderr(self) -> Path:
        return self._folder / "stderr"
