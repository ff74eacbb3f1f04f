"""What `sequence dev` tells the person in front of it."""

import sys
import time

from sequence_cli.dev.environment import Embedded


def say(text: str) -> None:
    """One line on stderr, with the time."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def banner(embedded: Embedded) -> str:
    """Where everything is, and what to type next."""
    return f"""\
The platform is up.

  API       {embedded.api_url}
  live key  {embedded.api_key}
  test key  {embedded.test_api_key}
  data      {embedded.folder}
  logs      {embedded.folder / "logs"}

In another terminal:

  export SEQUENCE_API_URL={embedded.api_url} SEQUENCE_API_KEY={embedded.test_api_key}
  sequence strategy deploy examples/heartbeat --start
  sequence strategy logs heartbeat --follow

Ctrl-C ends everything; strategies run again after the next start."""
