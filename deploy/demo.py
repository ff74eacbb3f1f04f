"""`make demo`: the whole way once, from an empty folder to a strategy that crashed and came back.

Every step goes through the real command line and API. Exit status 0 only if all of it happened;
else a message says which part failed and where its log is, and the folder with the logs stays.
"""

import json
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEQUENCE = Path(sys.executable).with_name("sequence")
EXAMPLE = ROOT / "examples" / "heartbeat"
TRADER, TRADER_NAME = ROOT / "examples" / "crossing", "one-tick-through"
NAME = "heartbeat"
BEATS_BEFORE_STOP = 3
STEP_WITHIN_S = 40.0


class DemoError(Exception):
    """A part of the demo did not happen."""


@dataclass
class Watched:
    """What the follower has shown so far, with the time at which each line came."""

    lines: "queue.Queue[tuple[float, str]]" = field(default_factory=queue.Queue)

    def wait_for(self, event: str, what: str) -> float:
        """When the strategy's record `event` came.

        Raises:
            DemoError: it did not come in time.
        """
        until = time.monotonic() + STEP_WITHIN_S
        while True:
            try:
                at, line = self.lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise DemoError(f"{what}: no {event!r} within {STEP_WITHIN_S:.0f} s") from None
            if f'"event": "{event}"' in line:
                return at


class Demo:
    """The demo's processes; `close` ends whatever still runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict = {}
        self.watched = Watched()
        self._processes: list[subprocess.Popen] = []

    def start_platform(self) -> float:
        """`sequence dev`; seconds until it was ready."""
        began = time.monotonic()
        command = [SEQUENCE, "dev", "--json", "--port", str(_free_port())]
        platform = self._start([*command, "--data-dir", self.folder], stdout=subprocess.PIPE)
        line = platform.stdout.readline() if platform.stdout else ""
        if not line:
            raise DemoError(f"the platform did not start; its logs are in {self.folder / 'logs'}")
        self.facts = json.loads(line)
        return time.monotonic() - began

    def cli(self, *arguments: str) -> None:
        """One `sequence strategy` command, shown as a user would type it."""
        say(f"$ sequence strategy {' '.join(arguments)}")
        done = subprocess.run([SEQUENCE, "strategy", *arguments], env=self._environ(), check=False)
        if done.returncode != 0:
            raise DemoError(f"`sequence strategy {arguments[0]}` failed")

    def follow(self) -> subprocess.Popen:
        """`sequence strategy logs --follow` in the background, its lines shown as they come."""
        say(f"$ sequence strategy logs {NAME} --follow")
        follower = self._start(
            [SEQUENCE, "strategy", "logs", NAME, "--follow", "--json"],
            stdout=subprocess.PIPE,
            env=self._environ(),
        )
        threading.Thread(target=self._show, args=(follower,), daemon=True).start()
        return follower

    def start_strategy(self) -> float:
        """Start by the API; the time at which the answer was there."""
        say(f"POST {self.facts['api_url']}/v1/strategies/.../start")
        strategies = self._call("GET", "/v1/strategies")["strategies"]
        identifier = next(row["strategy_id"] for row in strategies if row["name"] == NAME)
        self._call("POST", f"/v1/strategies/{identifier}/start")
        return time.time()

    def end_platform(self) -> None:
        """SIGTERM to `sequence dev`, and a look at what is left: nothing may be."""
        platform = self._processes[0]
        platform.send_signal(signal.SIGTERM)
        if platform.wait(timeout=25) != 0:
            raise DemoError(f"the platform ended with status {platform.returncode}")
        left = [pid for pid in self.facts["pids"].values() if Path(f"/proc/{pid}").exists()]
        if left:
            raise DemoError(f"processes are left: {left}")

    def close(self) -> None:
        """End what still runs."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=25)

    def _start(self, command: list, **options: object) -> subprocess.Popen:
        process = subprocess.Popen(command, cwd=ROOT, text=True, **options)  # type: ignore[call-overload]
        self._processes.append(process)
        return process

    def _show(self, follower: subprocess.Popen) -> None:
        for line in follower.stdout or ():
            at, record = time.time(), json.loads(line)
            mark = {"stdout": " ", "stderr": "!", "system": "*"}[record["stream"]]
            print(f"  {mark} {record['line']}", flush=True)
            self.watched.lines.put((at, record["line"]))

    def _environ(self) -> dict[str, str]:
        keys = {
            "SEQUENCE_API_URL": self.facts["api_url"],
            "SEQUENCE_API_KEY": self.facts["test_api_key"],
        }
        return {**os.environ, **keys}

    def _call(self, method: str, path: str) -> dict:
        request = urllib.request.Request(
            self.facts["api_url"] + path,
            method=method,
            headers={"Authorization": f"Bearer {self.facts['test_api_key']}"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)


def main() -> int:
    """Run the demo; 0 if everything happened."""
    folder = Path(tempfile.mkdtemp(prefix="sequence-demo-"))
    demo = Demo(folder)
    try:
        _play(demo)
    except (DemoError, OSError, subprocess.SubprocessError) as error:
        print(f"\nthe demo failed: {error}\nlogs: {folder / 'logs'}", file=sys.stderr)
        return 1
    finally:
        demo.close()
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _play(demo: Demo) -> None:
    say("starting the platform: Redis, web, runner, scheduler, market")
    ready_s = demo.start_platform()
    demo.cli("deploy", str(EXAMPLE.relative_to(ROOT)))
    follower = demo.follow()
    started_at = demo.start_strategy()
    first_line_at = demo.watched.wait_for("started", "the first run")
    back_at = demo.watched.wait_for("started", "the restart after the crash")
    for _ in range(BEATS_BEFORE_STOP):
        demo.watched.wait_for("beat", "the second run")
    asked_at = time.time()
    demo.cli("stop", NAME)
    stopped_at = demo.watched.wait_for("goodbye", "the clean stop")
    if follower.wait(timeout=STEP_WITHIN_S) != 0:
        raise DemoError("the follower did not end well")
    say("and one that trades on the paper market: it buys, and finds its own fills")
    demo.cli("deploy", str(TRADER.relative_to(ROOT)), "--start")
    demo.cli("logs", TRADER_NAME, "--follow")
    demo.cli("list")
    say("ending the platform")
    demo.end_platform()
    say("")
    say("what happened")
    say(f"  platform ready                       {ready_s * 1000:6.0f} ms")
    say(f"  start answered -> first line here    {(first_line_at - started_at) * 1000:6.0f} ms")
    say(
        f"  start answered -> running again      {(back_at - started_at) * 1000:6.0f} ms"
        "   (it crashed in between)"
    )
    say(f"  stop typed -> strategy said goodbye  {(stopped_at - asked_at) * 1000:6.0f} ms")
    say("  left behind                            nothing")


def say(text: str) -> None:
    """One line of the demo's own."""
    print(f"\033[1m{text}\033[0m" if sys.stdout.isatty() and text else text, flush=True)


def _free_port() -> int:
    """A loopback port that nothing listens on at this moment.

    Below the kernel's range for outgoing connections: one of those might take it before its user.
    """
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


if __name__ == "__main__":
    sys.exit(main())
