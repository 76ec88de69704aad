"""`keyhop key insert` and `keyhop key void`: what a keyhop KME does for a master beside ETSI GS QKD 014.

Key bytes come from files only, never from the command line, where others would see them.
"""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from keyhop.apps.client import SecretBytes
from keyhop.cli import output
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
from keyhop.cli.failure import CommandFailed
from keyhop.cli.key_failures import told
from keyhop.core.errors import ConfigurationError

MAX_KEY_BYTES = 1024

AlsoOption = Annotated[list[str] | None, typer.Option(help="A further slave SAE; may be repeated.")]
JsonOption = Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="As JSON.")]


def insert(
    slave: Annotated[str, typer.Argument(metavar="SLAVE", help="The SAE to share the keys with.")],
    key_file: Annotated[list[Path], typer.Option(help="A file with the bytes of one key; may be repeated.")],
    key_id: Annotated[
        list[UUID] | None, typer.Option(help="The ID of that key, in the order of the files (the KME's choice).")
    ] = None,
    also: AlsoOption = None,
    kme: KmeOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    lab: LabOption = None,
    sae: SaeOption = None,
    timeout: TimeoutOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Hand in keys of your own to share with SLAVE; it fetches them under the key IDs that this prints."""
    keys = [_read(path) for path in key_file]
    with (
        told(),
        open_client(kme=kme, ca=ca, cert=cert, key=key, lab=lab, sae=sae, timeout_s=timeout) as client,
    ):
        ids = client.insert_keys(slave, keys, key_ids=key_id or None, additional_slaves=also or ())
    if as_json:
        output.print_json(
            {"keys": [{"key_id": str(i), "size_bits": 8 * len(k)} for i, k in zip(ids, keys, strict=True)]}
        )
    else:
        output.print_table(("key ID", "key"), list(zip(ids, keys, strict=True)))


def void(
    slave: Annotated[str, typer.Argument(metavar="SLAVE", help="The SAE that the keys are shared with.")],
    key_ids: Annotated[list[UUID], typer.Argument(metavar="KEY_ID", help="The IDs of the keys.")],
    also: AlsoOption = None,
    kme: KmeOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    lab: LabOption = None,
    sae: SaeOption = None,
    timeout: TimeoutOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Void keys that you were given or brought: if SLAVE has not fetched them it never will. Ends with 1 if one was,
    or may have been, fetched."""
    with (
        told(),
        open_client(kme=kme, ca=ca, cert=cert, key=key, lab=lab, sae=sae, timeout_s=timeout) as client,
    ):
        outcome = client.void_keys(slave, key_ids, additional_slaves=also or ())
    if as_json:
        output.print_json({name: [str(i) for i in getattr(outcome, name)] for name in ("voided", "not_voided")})
    else:
        rows = [(i, "void" if i in outcome.voided else "not void: it was fetched, or may have been") for i in key_ids]
        output.print_table(("key ID", "state"), rows)
    if outcome.not_voided:
        raise CommandFailed(f"{len(outcome.not_voided)} of {len(key_ids)} keys were not voided", exit_code=1)


def _read(path: Path) -> SecretBytes:
    with path.open("rb") as file:
        key = SecretBytes(file.read(MAX_KEY_BYTES + 1))
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise ConfigurationError(
            f"{path} does not hold 1 to {MAX_KEY_BYTES} bytes", hint="it has to hold the bytes of one key, and no more"
        )
    return key
