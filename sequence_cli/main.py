"""Entry point of the ``sequence`` command and its only error handler."""

import io
import sys
import traceback
from collections.abc import Sequence

import click

from sequence_cli.errors import CliError
from sequence_cli.lazy_group import LazyGroup
from sequence_cli.output.terminal_text import visible
from sequence_cli.version import installed_version

EXIT_FATAL = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# Every top-level command, imported when it is used: its name and "module:attribute".
COMMANDS = {
    "login": "sequence_cli.commands.login:login",
    "strategy": "sequence_cli.commands.strategy:strategy",
    "quote": "sequence_cli.commands.quote:quote",
    "markets": "sequence_cli.commands.markets:markets",
    "buy": "sequence_cli.commands.place:buy",
    "sell": "sequence_cli.commands.place:sell",
    "orders": "sequence_cli.commands.orders:orders",
    "fills": "sequence_cli.commands.orders:fills",
    "cancel": "sequence_cli.commands.cancel:cancel",
    "positions": "sequence_cli.commands.positions:positions",
    "connect": "sequence_cli.commands.connect:connect",
    "venues": "sequence_cli.commands.connect:venues",
    "keys": "sequence_cli.commands.keys:keys",
    "account": "sequence_cli.commands.account:account",
    "runners": "sequence_cli.commands.runners:runners",
    "dev": "sequence_cli.dev.command:dev",
    "admin": "sequence_cli.commands.admin:admin",
    "doctor": "sequence_cli.commands.doctor:doctor",
}


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"sequence {installed_version()}")
        ctx.exit()


@click.group(
    cls=LazyGroup, members=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Deploy Python trading strategies, watch them and stop them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit status.

    0 success, 1 fatal error, 2 usage error, 130 interrupted; ``logs --follow`` returns the
    strategy's own status. No traceback leaves this function; when the reader of a pipe
    (``| head``) is gone, click ends the process quietly with 1.
    """
    _make_streams_tolerant()
    try:
        outcome = cli.main(args=argv, prog_name="sequence", standalone_mode=False)
    except click.UsageError as error:
        return _show_usage_error(error)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        return _show_fatal(_fatal(error))
    return outcome if isinstance(outcome, int) else 0


def _make_streams_tolerant() -> None:
    """A lone surrogate in a log line, or an ASCII terminal, must not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fatal(error: Exception) -> CliError:
    """Every failure as the one fatal error; a defect of ours says that it is one."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, click.ClickException):
        return CliError(error.format_message())
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return CliError(f"{error.filename}: {reason}" if error.filename else reason)
    frames = traceback.extract_tb(error.__traceback__)
    return CliError(
        f"the command itself failed ({type(error).__name__}: {error}): please report this line",
        [f"at {frame.filename}:{frame.lineno}" for frame in frames[-1:]],
    )


def _show_fatal(error: CliError) -> int:
    click.echo("error: " + visible(error.message, keep="\n\t"), err=True)
    for detail in error.details:
        for line in detail.split("\n"):
            click.echo("  " + visible(line, keep="\t"), err=True)
    return EXIT_FATAL


def _show_usage_error(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    if error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try `{error.ctx.command_path} --help` for help.", err=True)
    click.echo("error: " + visible(error.format_message(), keep="\n\t"), err=True)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
