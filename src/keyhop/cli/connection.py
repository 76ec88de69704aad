"""Which KME to talk to and as which SAE: from flags, or from the lab.json of a lab."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from keyhop.apps.client import Client, mutual_tls
from keyhop.core.errors import ConfigurationError
from keyhop.core.names import hint_of_names

if TYPE_CHECKING:
    from keyhop.lab import Inventory

MAX_LAB_JSON_BYTES = 4 * 1024 * 1024

KmeOption = Annotated[str | None, typer.Option("--kme", envvar="KEYHOP_KME", help="URL of the KME: https://HOST:PORT.")]
CaOption = Annotated[
    Path | None, typer.Option("--ca", envvar="KEYHOP_CA", help="Authority of the KME's certificate (PEM).")
]
CertOption = Annotated[Path | None, typer.Option("--cert", envvar="KEYHOP_CERT", help="Certificate of this SAE (PEM).")]
KeyOption = Annotated[Path | None, typer.Option("--key", envvar="KEYHOP_KEY", help="Private key of this SAE (PEM).")]
LabOption = Annotated[
    Path | None,
    typer.Option("--lab", envvar="KEYHOP_LAB", help="Directory of a lab, instead of --kme, --ca, --cert, --key."),
]
SaeOption = Annotated[str | None, typer.Option("--sae", envvar="KEYHOP_SAE", help="With --lab: which SAE to be.")]
TimeoutOption = Annotated[
    float,
    typer.Option("--timeout", envvar="KEYHOP_TIMEOUT", help="Seconds to wait for an answer.", min=0.001, max=86_400),
]


def open_client(
    *,
    kme: str | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    lab: Path | None,
    sae: str | None,
    timeout_s: float,
    always_post: bool = False,
) -> Client:
    """The client that the flags describe. Raises BadParameter, ConfigurationError, ClientError."""
    if lab is not None:
        if kme or ca or cert or key:
            raise typer.BadParameter("give either --lab and --sae, or --kme, --ca, --cert and --key")
        if sae is None:
            raise typer.BadParameter("--lab needs --sae: which of its SAEs to be")
        inventory = read_inventory(lab)
        kme, ca, cert, key = _in_lab(inventory, sae, lab)
    if not (kme and ca and cert and key):
        raise typer.BadParameter("give --kme, --ca, --cert and --key, or --lab and --sae")
    return Client(kme, mutual_tls(ca=ca, certificate=cert, key=key), timeout_s=timeout_s, always_post=always_post)


def read_inventory(lab: Path) -> "Inventory":
    """The lab.json of the lab in `lab`. Raises ConfigurationError."""
    # Only here: a lab brings the whole PKI with it, and most users of this command have a KME elsewhere.
    from keyhop.lab import Inventory

    path = lab / "lab.json"
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_LAB_JSON_BYTES), type=Inventory)
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no lab in {lab}", hint=f"make one: keyhop lab up two-sites --dir {lab} --detach"
        ) from None
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} cannot be used: {error}", hint=f"keyhop lab up two-sites --dir {lab} --detach"
        ) from None


def _in_lab(inventory: "Inventory", sae: str, lab: Path) -> tuple[str, Path, Path, Path]:
    """URL of the SAE's KME, authority, certificate and key; relative paths count from the lab's directory."""
    try:
        entry, home = inventory.sae(sae), inventory.home(sae)
    except KeyError:
        hint = hint_of_names(sae, [entry.id for entry in inventory.saes], "its SAEs are")
        raise ConfigurationError(f"there is no SAE `{sae}` in this lab", hint=hint) from None
    return home.etsi014_url, lab / inventory.ca, lab / entry.cert, lab / entry.key
