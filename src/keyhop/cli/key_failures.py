"""How `keyhop key` tells what a KME refused, or why there was no answer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from keyhop.apps.client import BadRequest, ClientError, ProtocolError, TransportError, Unauthorised, Unavailable
from keyhop.cli.failure import CommandFailed
from keyhop.core.errors import KeyhopError

MAX_DETAILS_TEXT = 500


@contextmanager
def told() -> Iterator[None]:
    """What went wrong, as the command line tells it."""
    try:
        yield
    except ClientError as error:
        details = "; ".join(json.dumps(detail) for detail in error.details)
        shown = f" ({details[:MAX_DETAILS_TEXT]})" if details else ""
        raise CommandFailed(
            error.message + shown, exit_code=_exit_code(error), status=error.status, hint=_hint(error)
        ) from None
    except OSError as error:
        raise KeyhopError(f"{error.filename or 'the file of --out'}: {error.strerror}") from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _exit_code(error: ClientError) -> int:
    match error:
        case Unavailable():
            return 3
        case BadRequest() | Unauthorised():
            return 4
        case TransportError() | ProtocolError():
            return 5
    return 1


def _hint(error: ClientError) -> str | None:
    match error:
        case Unauthorised():
            return "the KME knows this SAE by its certificate; who runs it can ask: keyhop policy check"
        case Unavailable(retry_after_s=None):
            return "try again later"
        case Unavailable():
            return f"try again in {error.retry_after_s:g} s"
        case TransportError() if "_ALERT_" in error.message:  # OpenSSL's words, whatever the alert is
            return "the KME does not take this SAE's certificate, for that reason: ask who runs it for another one"
        case TransportError():
            return "check that the KME runs at that address, and that it and you trust each other's certificates"
    return None
