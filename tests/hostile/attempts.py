"""What the hostile programs share: calls that answer with an errno instead of raising."""

from __future__ import annotations

from typing import Any

from ordinary import AnyBox
from sealed import Result

PRELUDE = """
import ctypes, errno, json, os, signal, socket, stat, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    result = function(*arguments)
    return 0 if result >= 0 else ctypes.get_errno()
def syscall(number, *arguments):
    return call(libc.syscall, number, *arguments)
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(100000).decode(errors="replace")
    except OSError as error:
        return error.errno
def tried(action):
    try:
        action()
        return 0
    except OSError as error:
        return error.errno
def write(path, text="1"):
    def action():
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    return tried(action)
def in_child(action):
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def say(value):
    print(json.dumps(value), flush=True)
def child_dies_for_its_memory():
    if os.fork() == 0:
        write("/proc/self/oom_score_adj", "1000")
        keep = []
        while True:
            keep.append(bytearray(1 << 20))
    os.wait()
"""
# What is sent after `use_up_the_page` begins another of the pages that TCP copies to.
TCP_PAGES = """
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far
near, far = pair()
def use_up_the_page():
    near.send(bytes(32767))
    taken = 0
    while taken < 32767:
        taken += len(far.recv(65536))
"""


def attempt(box: AnyBox, source: str, **options: Any) -> Result:
    """Run `source`, which may use the functions above, to its end."""
    return box.run(PRELUDE + source, **options)
