"""What a run uses, and what it is sealed off by, in words."""

from typing import Any

_MIB = 1 << 20


def usage_in_words(run: dict[str, Any] | None) -> str:
    """Memory, CPU and processes of a run, live or at its end; empty when there is no sample."""
    usage = (run or {}).get("usage")
    if not usage:
        return ""
    peak = usage.get("memory_peak_bytes")
    parts = [
        f"{usage['memory_bytes'] / _MIB:.1f} MiB" if not (run or {}).get("ended_at") else "",
        f"peak {peak / _MIB:.1f} MiB" if peak is not None else "",
        f"{usage['cpu_s']:.1f} s CPU",
        f"throttled {usage['throttled_s']:.1f} s" if usage["throttled_s"] >= 0.05 else "",
        f"{usage['oom_kills']} killed for memory" if usage["oom_kills"] else "",
        f"{usage['pids']} processes" if not (run or {}).get("ended_at") else "",
    ]
    return ", ".join(part for part in parts if part)


def isolation_in_words(run: dict[str, Any] | None) -> str:
    """The isolation that the run really has, or had; empty when it is not known yet."""
    isolation = (run or {}).get("isolation") or {}
    return ", ".join(
        f"{name} {value}" for name, value in isolation.items() if isinstance(value, str)
    )


def duration_in_words(run: dict[str, Any]) -> str:
    """How long a run lasted: ``4 s``, ``3 min 20 s``, ``2 h 5 min``, ``8 d 4 h``."""
    if run.get("ended_at") is None:
        return "runs"
    lived_s = (run.get("evidence") or {}).get("lived_s", run["ended_at"] - run["started_at"])
    if lived_s < 10:
        return f"{lived_s:.1f} s"
    seconds = round(lived_s)
    for size, unit, smaller, name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // smaller} {name}"
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
