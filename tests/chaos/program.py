"""What every strategy of the chaos run does: show signs of life to the witness until it ends."""

PROGRAM = """\
import os, random, signal, socket, sys, time

NAME = os.environ["SEQUENCE_STRATEGY_ID"]
EPOCH = os.environ["SEQUENCE_RUN_EPOCH"]
PORT = int(os.environ["SEQUENCE_API_URL"].rpartition(":")[2])
HOST = os.environ["SEQUENCE_API_URL"].split("//")[1].rpartition(":")[0]
CRASH_AFTER_S = float(os.environ.get("CRASH_AFTER_S", "0")) * random.uniform(0.5, 1.5)
started = time.monotonic()
wire = None

def sign(kind):
    # The clock is the machine's own, the same in every sandbox and for the witness: a sign that
    # was held up on its way still says when it was given.
    global wire
    line = f"{kind} {NAME} {EPOCH} {time.monotonic():.6f}\\n".encode()
    try:
        if wire is None:
            wire = socket.create_connection((HOST, PORT), timeout=0.2)
        wire.sendall(line)
    except OSError:
        if wire is not None:
            wire.close()
        wire = None

def stop(*_):
    sign("stop")
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
sign("start")
while True:
    time.sleep(0.05)
    sign("beat")
    if CRASH_AFTER_S and time.monotonic() - started > CRASH_AFTER_S:
        sys.exit(f"crash of epoch {EPOCH}")
"""
