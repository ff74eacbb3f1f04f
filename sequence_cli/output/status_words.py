"""A strategy row in words. Times of a row are unix seconds."""

import time
from typing import Any

_REASONS = {
    "created": "deployed, not started yet",
    "requested": "start requested",
    "no_runner": "no live runner serves its target: start one, or name further targets",
    "no_capacity": "no runner of its target has room for it",
    "started": "a runner has it",
    "completed": "finished by itself",
    "stopped_by_user": "stopped on request",
    "exit_nonzero": "exited with an error; its log says more",
    "signal": "was killed by a signal",
    "oom": "ran out of memory (hosted.resources.memory_mb sets the limit)",
    "workspace_full": "failed while its workspace was full (half of hosted.resources.memory_mb)",
    "file_locks": "held more file locks than a run may; its log says how many",
    "timeout": "reached its time limit (hosted.resources.timeout_secs)",
    "stalled": "wrote nothing for too long (hosted.watchdog.silence_secs); its log has its stacks",
    "crash_loop": "kept failing in the same way and is not restarted any more: mend it, then "
    "deploy or start it again",
    "max_restarts": "failed once more than hosted.restart.max_restarts allows: mend it, then "
    "deploy or start it again",
    "restarting": "comes back after it ended",
    "restarted_by_user": "restarted on request",
    "evicted": "its runner shut down",
    "runner_lost": "its runner was lost",
    "sandbox_error": "the platform could not set up its sandbox: tell the operator",
    "secrets_unreadable": "its secrets cannot be decrypted: deploy it again, or tell the operator",
    "network_refused": "its network policy cannot be had here; its log says why",
    "scheduled": "started by its schedule",
    "tick_skipped": "runs on: a tick of its schedule was skipped (hosted.schedule.overlap)",
    "replaced": "its schedule replaces the run by a new one (hosted.schedule.overlap)",
    "rolled_back": "its new version crash-looped, the one before it came back "
    "(hosted.deploy.auto_rollback_secs)",
    "artifact_corrupt": "its stored artifact is damaged: deploy it again",
}


def reason_in_words(row: dict[str, Any]) -> str:
    """The why of the row's status; a reason newer than this command is shown as it is."""
    reason = row.get("status_reason")
    words = _REASONS.get(reason) if reason else None
    parts = [f"{reason}: {words}" if words else reason or ""]
    if row.get("status") == "queued":
        parts.append(f"waits for a runner of target {row.get('latency_target') or 'default'}")
    return "; ".join(part for part in parts if part)


def origin_in_words(version: dict[str, Any]) -> str:
    """How a version came to be; a way newer than this command is shown as it is."""
    origin, source = version["origin"], version.get("source_version")
    words = {
        "create": "deployed",
        "update": "settings changed",
        "rollback": f"rolled back to {source}",
        "auto_rollback": f"{source} came back by itself",
    }
    return words.get(origin, str(origin))


def waiting_in_words(row: dict[str, Any]) -> str:
    """What a queued strategy waits for, and since when; empty for another one."""
    waiting = row.get("waiting")
    if not waiting:
        return ""
    return f"{waiting['reason']}: {waiting['detail']}, since {local_time(waiting['since'])}"


def restart_in_words(row: dict[str, Any], now_s: float) -> str:
    """When the platform starts the strategy again; empty when it does not say."""
    due_s = row.get("next_restart_at")
    if due_s is None:
        if row.get("next_run_at") is not None:
            return ""
        if row.get("status") == "failed" and row.get("desired_state") == "stopped":
            return "none: start it with `sequence strategy start`"
        return ""
    wait_s = round(due_s - now_s)
    return f"in {wait_s} s, at {local_time(due_s)}" if wait_s > 0 else "due now"


def next_run_in_words(row: dict[str, Any], now_s: float) -> str:
    """When its schedule starts it next; that it is suspended; empty without a schedule."""
    if not row.get("schedule"):
        return ""
    due_s = row.get("next_run_at")
    if due_s is None:
        return "none before `sequence strategy start`, which puts its schedule in force"
    return f"at {local_time(due_s)}, in {max(0, round(due_s - now_s))} s"


def local_time(unix_s: float | None) -> str:
    """``YYYY-MM-DD HH:MM:SS`` in the user's time zone; ``-`` for None."""
    if unix_s is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))


def size_in_words(size_bytes: int) -> str:
    """Decimal units: ``812 B``, ``20.3 kB``, ``1.5 MB``."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = size_bytes / 1000
    for unit in ("kB", "MB"):
        if size < 1000:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
