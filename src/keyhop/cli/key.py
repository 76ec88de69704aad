"""`keyhop key`: what an SAE asks of any vendor's KME through ETSI GS QKD 014.

Key bytes go to the terminal only with `--reveal`, and to a file only with `--out`; all else shows their size.
"""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from keyhop.apps.client import Key, KeyContainer
from keyhop.cli import masters_keys, output
from keyhop.cli.connection import (
    CaOption,
    CertOption,
    KeyOption,
    KmeOption,
    LabOption,
    SaeOption,
    TimeoutOption,
    open_client,
)
from keyhop.cli.key_failures import told
from keyhop.cli.secret_file import secret_file

HELP = """Get keys from a KME, as an SAE does (ETSI GS QKD 014).

Exit codes: 0 done, 1 a file or setting of yours, 2 wrong usage, 3 unavailable (503: try again), 4 refused (400, 401),
5 no answer that can be used. With --json, errors are JSON objects on stderr: error, hint, status."""

app = typer.Typer(help=HELP, no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="As JSON.")]
RevealOption = Annotated[bool, typer.Option("--reveal", help="Show the key bytes, in base64.")]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Write the key bytes to this new file, mode 0600: raw for one key, JSON for many."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Let --out replace a file.")]
PostOption = Annotated[bool, typer.Option("--post", help="Send a POST even where the standard allows GET.")]

app.command("insert")(masters_keys.insert)
app.command("void")(masters_keys.void)


@app.command()
def status(
    slave: Annotated[str, typer.Argument(metavar="SLAVE", help="The SAE at the other end.")],
    kme: KmeOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    lab: LabOption = None,
    sae: SaeOption = None,
    timeout: TimeoutOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Show what the KME says of the keys shared with SLAVE."""
    with (
        told(),
        open_client(kme=kme, ca=ca, cert=cert, key=key, lab=lab, sae=sae, timeout_s=timeout) as client,
    ):
        fields = asdict(client.get_status(slave))
    if as_json:
        output.print_json(fields)
    else:
        output.print_table(("field", "value"), [(name, _text(value)) for name, value in fields.items()])


@app.command()
def get(
    slave: Annotated[str, typer.Argument(metavar="SLAVE", help="The SAE to share the keys with.")],
    kme: KmeOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    lab: LabOption = None,
    sae: SaeOption = None,
    timeout: TimeoutOption = 30.0,
    number: Annotated[int | None, typer.Option(help="How many keys (1).", min=1)] = None,
    size: Annotated[int | None, typer.Option(help="Bits per key (the KME's default).", min=1)] = None,
    also: Annotated[list[str] | None, typer.Option(help="A further slave SAE; may be repeated.")] = None,
    mandatory: Annotated[list[str] | None, typer.Option(help="Mandatory extension, NAME=VALUE.")] = None,
    optional: Annotated[list[str] | None, typer.Option(help="Optional extension, NAME=VALUE.")] = None,
    post: PostOption = False,
    as_json: JsonOption = False,
    reveal: RevealOption = False,
    out: OutOption = None,
    force: ForceOption = False,
) -> None:
    """Get fresh keys to share with SLAVE; it fetches them under the key IDs that this prints."""
    with (
        told(),
        _kept(out, force) as keep,
        open_client(
            kme=kme, ca=ca, cert=cert, key=key, lab=lab, sae=sae, timeout_s=timeout, always_post=post
        ) as client,
    ):
        container = client.get_key(
            slave,
            number=number,
            size_bits=size,
            additional_slaves=also or (),
            extension_mandatory=_extensions(mandatory),
            extension_optional=_extensions(optional),
        )
        keep(container)
    _print_keys(container, as_json=as_json, reveal=reveal)


@app.command()
def fetch(
    master: Annotated[str, typer.Argument(metavar="MASTER", help="The SAE that got the keys first.")],
    key_ids: Annotated[list[UUID], typer.Argument(metavar="KEY_ID", help="The key IDs that it sent.")],
    kme: KmeOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    lab: LabOption = None,
    sae: SaeOption = None,
    timeout: TimeoutOption = 30.0,
    post: PostOption = False,
    as_json: JsonOption = False,
    reveal: RevealOption = False,
    out: OutOption = None,
    force: ForceOption = False,
) -> None:
    """Fetch the same keys as MASTER, by their key IDs."""
    with (
        told(),
        _kept(out, force) as keep,
        open_client(
            kme=kme, ca=ca, cert=cert, key=key, lab=lab, sae=sae, timeout_s=timeout, always_post=post
        ) as client,
    ):
        container = client.get_key_with_ids(master, key_ids)
        keep(container)
    _print_keys(container, as_json=as_json, reveal=reveal)


@contextmanager
def _kept(out: Path | None, force: bool) -> Iterator[Callable[[KeyContainer], None]]:
    """What puts the keys into the file of `--out`: one as its bytes, many as the JSON that `--json --reveal` has."""
    if out is None:
        yield lambda container: None
        return
    with secret_file(out, replace=force) as file:

        def keep(container: KeyContainer) -> None:
            file.write(_file_content(container))

        yield keep
    output.print_note(f"key bytes written to {out}")


def _file_content(container: KeyContainer) -> bytes:
    if len(container.keys) == 1:
        return container.keys[0].secret.reveal()
    return json.dumps(_json_container(container, reveal=True), indent=2).encode() + b"\n"


def _print_keys(container: KeyContainer, *, as_json: bool, reveal: bool) -> None:
    if as_json:
        output.print_json(_json_container(container, reveal))
        return
    rows = [(key.key_id, _base64(key) if reveal else key.secret, _text(key.key_extension)) for key in container.keys]
    output.print_table(("key ID", "key", "extension"), rows)
    if container.extension is not None:
        output.print_note(f"extension of all: {_text(container.extension)}")


def _json_container(container: KeyContainer, reveal: bool) -> dict[str, Any]:
    return {"keys": [_json_key(key, reveal) for key in container.keys], "extension": container.extension}


def _json_key(key: Key, reveal: bool) -> dict[str, Any]:
    """One key; `key` is base64 and there only when revealed."""
    shown = {"key": _base64(key)} if reveal else {}
    return {
        "key_id": str(key.key_id),
        "size_bits": key.size_bits,
        **shown,
        "key_id_extension": key.key_id_extension,
        "key_extension": key.key_extension,
    }


def _extensions(given: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs; a VALUE that is JSON is sent as such, any other as a string."""
    pairs = {}
    for item in given or ():
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"an extension is NAME=VALUE, not {item!r}")
        pairs[name] = _json_or_text(value)
    return pairs


def _json_or_text(value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return value


def _text(value: Any) -> str:
    """A value for people: a string as it is, nothing as nothing, the rest as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _base64(key: Key) -> str:
    return base64.b64encode(key.secret.reveal()).decode()
