"""Waiting for many descriptors, where programs cannot keep a process of ours from it."""

from __future__ import annotations

import os
import selectors


def selector() -> selectors.BaseSelector:
    """epoll, whose watches the kernel counts by user; for an ordinary user's runner, whose programs
    have its user id and could take all of them, the slower poll, which needs none."""
    return selectors.EpollSelector() if os.geteuid() == 0 else selectors.PollSelector()
