"""The options that every command which talks to the API shares."""

import functools
import os
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import click

from sequence_cli.config_file import config_path
from sequence_cli.connection import (
    DEFAULT_API_URL,
    KEY_VARIABLE,
    URL_VARIABLE,
    Connection,
    ConnectionOptions,
    resolve_connection,
)

P = ParamSpec("P")

profile_option = click.option(
    "--profile", metavar="NAME", help="Profile of ~/.sequence/config.toml; default: its current."
)
api_url_option = click.option(
    "--api-url",
    metavar="URL",
    help=f"Address of the API; default {DEFAULT_API_URL}.  [env var: {URL_VARIABLE}]",
)
api_key_option = click.option(
    "--api-key",
    metavar="KEY",
    help="API key. Other users of this machine can read a process's arguments: better the "
    f"variable, or `sequence login`.  [env var: {KEY_VARIABLE}]",
)


def with_connection(command: Callable[Concatenate[Connection, P], int]) -> Callable[..., int]:
    """Add the three options and hand their result to ``command`` as its first argument."""

    @profile_option
    @api_url_option
    @api_key_option
    @functools.wraps(command)
    def resolved(
        *args: Any, profile: str | None, api_url: str | None, api_key: str | None, **rest: Any
    ) -> int:
        options = ConnectionOptions(profile, api_url, api_key)
        connection = resolve_connection(options, os.environ, config_path())
        return command(connection, *args, **rest)

    return resolved
