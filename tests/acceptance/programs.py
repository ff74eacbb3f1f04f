"""Programs that say exactly when they live, and the proof that no two of them lived at once."""

import itertools
import json

from .support import Row, said

WITNESS = """
import json, os, signal, threading, time
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
epoch, beat = int(os.environ["SEQUENCE_RUN_EPOCH"]), 0
def say(event):
    print(json.dumps({"epoch": epoch, "event": event, "beat": beat, "at": time.time()}))
say("begins")
while not ended.wait(PERIOD_S):
    beat += 1
    say("lives")
time.sleep(LAST_WORDS_S)
say("ends")
"""


def witness(*, period_s: float = 0.05, last_words_s: float = 0.0, version: int = 1) -> str:
    """A program that logs its epoch and the time, all its life; SIGTERM ends it gracefully.

    Args:
        last_words_s: how long it takes to end after SIGTERM.
        version: makes it another artifact.
    """
    program = WITNESS.replace("PERIOD_S", str(period_s)).replace("LAST_WORDS_S", str(last_words_s))
    return f"VERSION = {version}\n{program}"


def lives(history: list[Row]) -> list[tuple[int, float, float]]:
    """Epoch, first and last sign of life of each instance of a witness, in the log's order.

    Raises AssertionError when two of them lived at once, when an epoch came twice or not in
    order, or when a beat is missing in the log or stands there twice.
    """
    signs = [json.loads(line) for line in said(history)]
    found: list[tuple[int, float, float]] = []
    for epoch in dict.fromkeys(sign["epoch"] for sign in signs):
        own = [sign for sign in signs if sign["epoch"] == epoch]
        beats = [sign["beat"] for sign in own if sign["event"] == "lives"]
        assert beats == list(range(1, len(beats) + 1)), f"gap or repeat in epoch {epoch}: {beats}"
        found.append((epoch, own[0]["at"], own[-1]["at"]))
    for (earlier, _, end), (later, begin, _) in itertools.pairwise(found):
        assert earlier < later
        assert end <= begin, f"epochs {earlier} and {later} lived at once: {found}"
    return found
