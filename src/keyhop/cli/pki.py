"""`keyhop pki`: the certificates of a network."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from keyhop.cli.output import print_json, print_note, print_table
from keyhop.core.errors import ConfigurationError
from keyhop.pki import Algorithm, Authority, Issued, create_authority
from keyhop.pki.profiles import LEAF_DAYS

app = typer.Typer(help="Make, renew and revoke the certificates of a network.", no_args_is_help=True)

Directory = Annotated[
    Path, typer.Option("--dir", envvar="KEYHOP_PKI_DIR", help="Where the authority lives.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The KME ID or SAE ID; it becomes the subject CN.")]
Days = Annotated[int, typer.Option("--days", min=1, max=3650, help="How long the certificate is valid.")]

HERE = Path("pki")


@app.command()
def init(
    directory: Directory = HERE,
    name: Annotated[str, typer.Option("--name", help="The authority's own name.")] = "keyhop authority",
    algorithm: Annotated[Algorithm, typer.Option("--algorithm", help="Of every key that it makes.")] = (
        Algorithm.ECDSA_P256
    ),
    as_json: AsJson = False,
) -> None:
    """Make a self-signed authority."""
    create_authority(directory, name=name, algorithm=algorithm)
    paths = {"ca": str(directory / "ca.pem"), "key": str(directory / "ca.key"), "crl": str(directory / "crl.pem")}
    if as_json:
        print_json(paths)
    else:
        print_table(("file", "path"), list(paths.items()))
    print_note(f"keep {directory / 'ca.key'} safe: whoever has it can be any node and any SAE")


@app.command()
def node(
    name: Name,
    host: Annotated[list[str], typer.Option("--host", help="A DNS name or address of the node; may be repeated.")],
    directory: Directory = HERE,
    days: Days = LEAF_DAYS,
    as_json: AsJson = False,
) -> None:
    """Issue the certificate of a node (KME)."""
    authority = Authority.load(directory)
    _print_one(authority, authority.issue_node(name, host, days=days), as_json)


@app.command()
def sae(
    name: Name,
    uri: Annotated[str | None, typer.Option("--uri", help="A SAN URI that names the SAE.")] = None,
    directory: Directory = HERE,
    days: Days = LEAF_DAYS,
    as_json: AsJson = False,
) -> None:
    """Issue the certificate of an application (SAE)."""
    authority = Authority.load(directory)
    _print_one(authority, authority.issue_sae(name, uri, days=days), as_json)


@app.command()
def renew(name: Name, directory: Directory = HERE, days: Days = LEAF_DAYS, as_json: AsJson = False) -> None:
    """Issue a new certificate with a new key under the same name; the old one lives until it expires."""
    authority = Authority.load(directory)
    _print_one(authority, authority.renew(name, days=days), as_json)


@app.command()
def revoke(name: Name, directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Revoke every valid certificate of a name. Running nodes shut it out within a minute."""
    authority = Authority.load(directory)
    if not any(issued.name == name for issued in authority.issued()):
        raise _never_issued(name, directory)
    revoked = authority.revoke(name)
    if as_json:
        print_json([_as_data(authority, issued) for issued in revoked])
    else:
        print_table(("revoked", "serial"), [(issued.name, issued.serial) for issued in revoked])
    if not revoked:
        print_note(f"{name} had no valid certificate left")


@app.command()
def crl(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Publish a fresh revocation list before the old one expires. Running nodes read it within seconds."""
    fresh = Authority.load(directory).publish_again()
    expires = None if fresh.next_update_utc is None else fresh.next_update_utc.isoformat()
    data = {"crl": str(directory / "crl.pem"), "expires": expires, "revoked": len(fresh)}
    if as_json:
        print_json(data)
    else:
        print_table(("field", "value"), list(data.items()))
        print_note(f"copy {directory / 'crl.pem'} to every node")


@app.command("list")
def list_issued(directory: Directory = HERE, as_json: AsJson = False) -> None:
    """List every certificate that was issued, oldest first."""
    authority = Authority.load(directory)
    data = [_as_data(authority, issued) for issued in authority.issued()]
    if as_json:
        print_json(data)
        return
    columns = ("name", "kind", "state", "not_after", "serial")
    print_table(columns, [[row[column] for column in columns] for row in data])


@app.command()
def show(name: Name, directory: Directory = HERE, as_json: AsJson = False) -> None:
    """Show the newest certificate of a name."""
    authority = Authority.load(directory)
    newest = next((issued for issued in reversed(authority.issued()) if issued.name == name), None)
    if newest is None:
        raise _never_issued(name, directory)
    _print_one(authority, newest, as_json)


def _never_issued(name: str, directory: Path) -> ConfigurationError:
    return ConfigurationError(
        f"the authority in {directory} never issued a certificate to {name}",
        hint=f"see: keyhop pki list --dir {directory}",
    )


def _print_one(authority: Authority, issued: Issued, as_json: bool) -> None:
    data = _as_data(authority, issued)
    if as_json:
        print_json(data)
        return
    rows = ((field, ", ".join(value) if isinstance(value, list) else value) for field, value in data.items())
    print_table(("field", "value"), [row for row in rows if row[1]])


def _as_data(authority: Authority, issued: Issued) -> dict[str, Any]:
    certificate, key = authority.files(issued.kind, issued.name)
    times = {
        field: None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
        for field, seconds in (
            ("not_before", issued.not_before),
            ("not_after", issued.not_after),
            ("revoked_at", issued.revoked_at),
        )
    }
    return {
        **msgspec.structs.asdict(issued),
        **times,
        "state": authority.state(issued),
        "certificate": str(certificate),
        "key": str(key),
    }
