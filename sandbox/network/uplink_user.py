"""The uplink that any user can have: slirp4netns carries the router's packets by ordinary sockets.

It runs in the runner's network namespace and is told not to reach that one's loopback. What else
of the host it could reach, the router's rules keep from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.network import namespaces, ruleset
from sandbox.network.probe import Probe
from sandbox.network.router import Router
from sandbox.network.uplink import UplinkError
from sandbox.status import wait_readable

# What programs send is one piece of memory for each packet (offloads.py): within a page, with what
# the kernel adds. By longer ones slirp4netns carries no more bytes a second.
MTU_BYTES = 3200
_LONGEST_TO_PROGRAMS_BYTES = 65520
_ADDRESS, _GATEWAY, _RANGE = "198.19.255.100", "198.19.255.2", "198.19.255.0/24"
_READY_S = 10.0
_PROBE_EVERY_S, _PROBE_TIMEOUT_S, _PROBES_MISSED = 2.0, 1.0, 3
_END_S = 2.0
_OWN_MOUNTS = ("/usr/bin/unshare", "--mount", "--propagation", "private", "--")


class UserUplink:
    """An `Uplink`: one slirp4netns process, which ends with netd whatever netd dies of."""

    def __init__(self, router: Router, tool: str) -> None:
        self._router = router
        self._tool = tool
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="slirp")
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = contextlib.ExitStack()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._starter, self._start_process)
            await self._router.attach(_ADDRESS, 24, _GATEWAY)
            self._probe = await self._router.run(lambda: Probe(_GATEWAY))
            self._lifeline.callback(self._probe.close)
            if not await self._probe.answers(_READY_S):
                raise UplinkError("slirp4netns started, but carries no packets")
        except BaseException:
            await self.stop()
            raise

    async def lost(self) -> str:
        process = self._process
        assert process is not None  # noqa: S101 - by the protocol it was started
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as undo:
            pidfd = os.pidfd_open(process.pid)
            undo.callback(os.close, pidfd)
            loop.add_reader(pidfd, ended.set)
            undo.callback(loop.remove_reader, pidfd)
            missed = 0
            while missed < _PROBES_MISSED:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), _PROBE_EVERY_S)
                    return f"slirp4netns ended with status {process.wait()}"
                missed = 0 if await self._probe.answers(_PROBE_TIMEOUT_S) else missed + 1
                if not ended.is_set() and (words := _exhausted(process.pid)) is not None:
                    return words
        return f"slirp4netns did not answer {_PROBES_MISSED} times"

    async def stop(self) -> None:
        self._lifeline.close()  # its end of this pipe is the sign to end
        process, self._process = self._process, None
        if process is not None:
            await asyncio.get_running_loop().run_in_executor(self._starter, _reap, process)

    def _start_process(self) -> None:
        """In a thread of its own: the capabilities that are kept are the thread's."""
        confined: list[str] = []
        if os.geteuid() == 0:
            # It leaves the host's file system and drops its capabilities. Behind a mount namespace
            # of its own, because it unmounts what it leaves, and on a host with shared mounts, so
            # on every host with systemd, it would unmount that for everybody.
            confined = ["--enable-sandbox"]
        else:
            # In our user namespace, and of no use outside: joining the router's takes them.
            namespaces.keep_capabilities(namespaces.CAP_SYS_ADMIN, namespaces.CAP_NET_ADMIN)
        ready_fd, ready_inner = os.pipe2(os.O_CLOEXEC)
        exit_inner, exit_fd = os.pipe2(os.O_CLOEXEC)
        said_fd, said_inner = os.pipe2(os.O_CLOEXEC)
        for fd in (exit_fd, said_fd):
            self._lifeline.callback(os.close, fd)
        # What nobody reads is dropped; it must not block when the pipe is full.
        for fd in (said_fd, said_inner):
            os.set_blocking(fd, False)
        namespace_fd = self._router.namespace_fd
        try:
            self._process = subprocess.Popen(
                [
                    *(_OWN_MOUNTS if confined else ()),
                    self._tool,
                    *confined,
                    "--enable-seccomp",
                    "--disable-host-loopback",
                    "--disable-dns",
                    "--netns-type=path",
                    f"--cidr={_RANGE}",
                    f"--mtu={_LONGEST_TO_PROGRAMS_BYTES}",
                    f"--ready-fd={ready_inner}",
                    f"--exit-fd={exit_inner}",
                    f"/proc/self/fd/{namespace_fd}",
                    ruleset.UPLINK,
                ],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said_inner,
                pass_fds=[ready_inner, exit_inner, namespace_fd],
            )
        finally:
            for fd in (ready_inner, exit_inner, said_inner):
                os.close(fd)
        with os.fdopen(ready_fd, "rb") as ready:
            if not wait_readable(ready.fileno(), _READY_S) or not ready.read(1):
                raise UplinkError(f"slirp4netns did not start: {_words(said_fd)}")


def _exhausted(pid: int) -> str | None:
    """Connections that programs forgot are kept until the other side gives them up; when there is
    no descriptor left, every further connection fails, while pings are answered all the same."""
    held = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    most, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    if held <= most * 3 // 4:
        return None
    return f"slirp4netns held {held} of {most} descriptors, for connections that nobody ended"


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()  # stopped or hung
        process.wait()


def _words(fd: int) -> str:
    try:
        return os.read(fd, 4096).decode(errors="replace").strip() or "it said nothing"
    except BlockingIOError:
        return "it said nothing"
