"""The smallest strategy that does everything right: it starts, beats, and stops when told.

The platform runs it as `python -u main.py`. Exit status 0 means "I am done"; anything else
is a crash, and the platform starts the strategy again.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from sequence_markets import Sequence  # added to the artifact by `sequence strategy deploy`


def log(event: str, **fields: object) -> None:
    """One JSON record per line, so that `sequence strategy logs heartbeat | jq` works."""
    print(json.dumps({"ts": round(time.time(), 3), "event": event, **fields}), flush=True)


def load_manifest() -> dict:
    """The manifest is Sequence.toml (without its secrets) as JSON."""
    return json.loads(Path(os.environ["SEQUENCE_STRATEGY_MANIFEST"]).read_text(encoding="utf-8"))


def stop_requested(within_s: float) -> bool:
    """Sleep, but wake at once when a stop is asked for."""
    return signal.sigtimedwait({signal.SIGTERM}, within_s) is not None


def main() -> int:
    # A stop begins with SIGTERM and leaves you a moment to tidy up. Blocked, it waits until
    # stop_requested() asks for it: no handler could come between a look and the sleep after it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    # [hosted.env] and [hosted.secrets] arrive as environment variables.
    interval_s = int(os.environ.get("HEARTBEAT_INTERVAL_MS", "1000")) / 1000
    beats = int(os.environ.get("HEARTBEAT_BEATS", "0"))
    settings = load_manifest().get("hosted", {}).get("env", {})

    # SEQUENCE_* is set by the platform. The epoch counts the times this strategy was started.
    epoch = os.environ["SEQUENCE_RUN_EPOCH"]
    log("started", run_id=os.environ["SEQUENCE_RUN_ID"], epoch=int(epoch), beats=beats)

    # The client talks to the platform with the key of the profile that you deployed with.
    client = Sequence(os.environ["SEQUENCE_API_KEY"], os.environ["SEQUENCE_API_URL"])
    log("health", ok=client.health())

    if settings.get("HEARTBEAT_CRASH_ON_FIRST_RUN") in ("true", "1") and epoch == "1":
        raise RuntimeError("crashing on the first run, as the manifest asks")

    beat = 0
    while beats == 0 or beat < beats:
        beat += 1
        log("beat", n=beat)
        if stop_requested(within_s=interval_s):
            log("goodbye", beats=beat)
            return 0
    log("done", beats=beat)
    return 0


if __name__ == "__main__":
    sys.exit(main())
