"""A key and a project file that the command line's tests share."""

KEY = "seq_test_" + "5" * 64

MINIMAL_TOML = """\
[strategy]
name = "heartbeat"
runtime = "python"

[hosted]
entrypoint = "main.py"
"""
