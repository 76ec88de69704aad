"""The command line: one file per noun, each exporting `app` (a `typer.Typer`).

What enters: arguments, and `KEYHOP_*` environment variables for every flag (`KEYHOP_LAB_UP_TIMEOUT` is `--timeout` of
`keyhop lab up`). What leaves: results on stdout, progress and errors on stderr, and an exit code: 0 done,
1 failed, 2 wrong usage,
130 interrupted.

A noun is imported when it is used, so `keyhop key get` does not pay for the node's imports.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_group

from keyhop.cli import output
from keyhop.core.errors import KeyhopError

NOUNS = ("demo", "key", "lab", "node", "pki")
"""Each is a file of this package. To add a noun, write the file and put its name here."""


class NounGroup(TyperGroup):
    """Finds the nouns by name instead of having imported them all."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperGroup | None:
        if cmd_name not in NOUNS:
            return None
        group = get_group(import_module(f"keyhop.cli.{cmd_name}").app)
        group.name = cmd_name
        return group


app = typer.Typer(name="keyhop", cls=NounGroup, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"keyhop {version('keyhop')}")
        raise typer.Exit


@app.callback()
def keyhop(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """The software of a quantum key distribution network."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The `keyhop` command. What keyhop raises on purpose becomes `error:` and `hint:`, with no traceback."""
    try:
        status = app(arguments, prog_name="keyhop", auto_envvar_prefix="KEYHOP", standalone_mode=False)
        raise SystemExit(status or 0)
    except TyperException as failure:
        if message := failure.format_message().strip():  # without one it was help that has been shown
            context = getattr(failure, "ctx", None)
            output.print_error(message, f"see `{context.command_path} --help`" if context else None)
        raise SystemExit(failure.exit_code) from None
    except typer.Abort:
        raise SystemExit(130) from None
    except KeyhopError as failure:
        output.print_error(failure.message, failure.hint)
        raise SystemExit(1) from None
    except OSError as failure:  # a file or socket of the operator's: a traceback would not help him
        where = f"{failure.filename}: " if failure.filename else ""
        output.print_error(f"{where}{failure.strerror or failure}")
        raise SystemExit(1) from None
