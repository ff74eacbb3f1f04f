"""Anonymous files that carry arguments, secrets and workspace files into bubblewrap.

Nothing of a program touches the host's disk, and bubblewrap copies what is in here from within the
run's control group, so that the copy counts as the run's own memory.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

from sandbox.errors import SandboxError


class Payload:
    """Open anonymous files; a context manager that closes them.

    `lowest_fd`: descriptors are numbered from here on. The run's own limit of open files is in
    force while bubblewrap still holds them; below that limit they would use it up.
    """

    def __init__(self, lowest_fd: int) -> None:
        self._lowest_fd = lowest_fd
        self.fds: list[int] = []

    def add(self, content: bytes) -> int:
        """A descriptor at the start of a file that holds `content`."""
        try:
            first = os.memfd_create("sequence", os.MFD_CLOEXEC)
            try:
                fd = fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, self._lowest_fd)
            finally:
                os.close(first)
        except OSError as error:
            raise SandboxError(
                f"no descriptor for a workspace file ({error}); raise the runner's limit of open"
                " files (ulimit -n, LimitNOFILE=) to 65536"
            ) from error
        self.fds.append(fd)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def __enter__(self) -> Payload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()
