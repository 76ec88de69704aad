"""The command line: one file per noun, each exporting `app` (a `typer.Typer`).

What enters: arguments, and `KEYHOP_*` environment variables for every flag (`KEYHOP_LAB_UP_TIMEOUT` is `--timeout` of
`keyhop lab up`). What leaves: results on stdout, progress and errors on stderr (as JSON where `--json` is given), and
an exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted; `keyhop key` has more, see `failure` and `key`.

What nouns share: `connection` (which KME, as which SAE), `place` (which running node),
`ends` (which nodes, of links), `output`, `secret_file`.

A noun is imported when it is used, so `keyhop key get` does not pay for the node's imports.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption
from typer.exceptions import TyperException
from typer.main import get_command, get_group

from keyhop.cli import output
from keyhop.cli.failure import CommandFailed
from keyhop.core.errors import KeyhopError

NOUNS = ("audit", "conformance", "demo", "key", "lab", "link", "node", "pki", "policy", "simulate")
"""Each is a file of this package. To add a noun, write the file and put its name here."""


class NounGroup(TyperGroup):
    """Finds the nouns by name instead of having imported them all."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in NOUNS:
            return None
        noun: typer.Typer = import_module(f"keyhop.cli.{cmd_name}").app
        command = get_group(noun) if len(noun.registered_commands) > 1 else get_command(noun)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="keyhop",
    cls=NounGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"keyhop {version('keyhop')}")
        raise typer.Exit


@app.callback()
def keyhop(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, allow_from_autoenv=False, help="Print the version."
        ),
    ] = False,
) -> None:
    """The software of a quantum key distribution network."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The `keyhop` command. What keyhop raises on purpose becomes `error:` and `hint:`, with no traceback."""
    told = _told_as_json if _wants_json(sys.argv[1:] if arguments is None else arguments) else _told
    try:
        command = get_command(app)
        for parameter in command.params:  # --install-completion is for people, not for the environment
            if isinstance(parameter, TyperOption) and parameter.name in ("install_completion", "show_completion"):
                parameter.allow_from_autoenv = False
        status = command(arguments, prog_name="keyhop", auto_envvar_prefix="KEYHOP", standalone_mode=False)
        raise SystemExit(status or 0)
    except TyperException as failure:
        if message := failure.format_message().strip():  # without one it was help that has been shown
            context = getattr(failure, "ctx", None)
            told(KeyhopError(message, hint=f"see `{context.command_path} --help`" if context else None))
        raise SystemExit(failure.exit_code) from None
    except typer.Abort:
        raise SystemExit(130) from None
    except KeyhopError as failure:
        told(failure)
        raise SystemExit(failure.exit_code if isinstance(failure, CommandFailed) else 1) from None
    except OSError as failure:  # a file or socket of the operator's: a traceback would not help him
        where = f"{failure.filename}: " if failure.filename else ""
        told(KeyhopError(f"{where}{failure.strerror or failure}"))
        raise SystemExit(1) from None


def _wants_json(arguments: Sequence[str]) -> bool:
    """Known before the arguments are parsed, since wrong usage is told in the same form."""
    return "--json" in arguments or os.environ.get("KEYHOP_JSON", "").lower() in ("1", "true", "yes", "on", "t", "y")


def _told(failure: KeyhopError) -> None:
    output.print_error(failure.message, failure.hint)


def _told_as_json(failure: KeyhopError) -> None:
    status = failure.status if isinstance(failure, CommandFailed) else None
    output.print_json_error(failure.message, failure.hint, status)
