"""Which release of the platform this command belongs to."""

import functools

from sequence_cli.errors import CliError

DISTRIBUTION = "sequence-platform"


@functools.cache
def installed_version() -> str:
    """The version of the installed distribution.

    Raises CliError when the command runs from a tree that was never installed.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        raise CliError(
            f"the distribution {DISTRIBUTION} is not installed, so its version is unknown: "
            "install it with `pip install -e .` in the project's folder"
        ) from None
