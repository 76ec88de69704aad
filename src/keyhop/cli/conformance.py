"""`keyhop conformance`: whether somebody's server does what a standard says, clause by clause."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyhop.cli import output
from keyhop.cli.connection import read_inventory
from keyhop.core.errors import KeyhopError

if TYPE_CHECKING:
    from keyhop.testing.conformance.checks import Report, Result, Suite
    from keyhop.testing.conformance.https import Identity

HELP = """Try a server against a standard. Every check cites its clause; keys are asked for and spent, never shown.

Exit code 0 when nothing that is required failed, 1 when something did. Recommended checks do not count."""

app = typer.Typer(help=HELP, no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", envvar="KEYHOP_JSON", help="As JSON.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds to wait for an answer.", min=0.1, max=600)]
LabOption = Annotated[
    Path | None,
    typer.Option("--lab", envvar="KEYHOP_LAB", help="Directory of a lab: what is left out of URLs and PEM files."),
]


def _pem(name: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, help=text, dir_okay=False)
    return option


@app.command()
def etsi014(
    master_url: Annotated[
        str | None, typer.Argument(metavar="MASTER_URL", help="The master's KME, https://HOST:PORT.")
    ] = None,
    slave_url: Annotated[
        str | None, typer.Argument(metavar="SLAVE_URL", help="The slave's KME; the same as the master's if left out.")
    ] = None,
    master: Annotated[str, typer.Option(help="ID of the master SAE.")] = "",
    slave: Annotated[str, typer.Option(help="ID of the slave SAE.")] = "",
    stranger: Annotated[str | None, typer.Option(help="A third SAE, at the slave's KME: more can be tried.")] = None,
    ca: Annotated[Path | None, _pem("--ca", "Authority of the KMEs' certificates (PEM).")] = None,
    master_cert: Annotated[Path | None, _pem("--master-cert", "The master's certificate (PEM).")] = None,
    master_key: Annotated[Path | None, _pem("--master-key", "The master's private key (PEM).")] = None,
    slave_cert: Annotated[Path | None, _pem("--slave-cert", "The slave's certificate (PEM).")] = None,
    slave_key: Annotated[Path | None, _pem("--slave-key", "The slave's private key (PEM).")] = None,
    stranger_cert: Annotated[Path | None, _pem("--stranger-cert", "The third SAE's certificate (PEM).")] = None,
    stranger_key: Annotated[Path | None, _pem("--stranger-key", "The third SAE's private key (PEM).")] = None,
    lab: LabOption = None,
    timeout: TimeoutOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """ETSI GS QKD 014 V1.1.1: ask two KMEs as a master SAE and a slave SAE."""
    from keyhop.testing.conformance.etsi014 import SUITE, Etsi014Target
    from keyhop.testing.conformance.https import Party

    given = [(master, master_url, master_cert, master_key), (slave, slave_url or master_url, slave_cert, slave_key)]
    if stranger:
        given.append((stranger, slave_url or master_url, stranger_cert, stranger_key))
    parties = [Party(*_sae(name, url, ca, cert, key, lab), timeout) for name, url, cert, key in given]
    try:
        _finish(_run(SUITE, Etsi014Target(*parties), as_json), as_json)
    finally:
        for party in parties:
            party.close()


def _sae(
    name: str, url: str | None, ca: Path | None, cert: Path | None, key: Path | None, lab: Path | None
) -> "tuple[str, Identity]":
    """Where an SAE asks, and as whom."""
    from keyhop.testing.conformance.https import Identity

    if not name:
        raise typer.BadParameter("give --master and --slave: the IDs of two SAEs")
    if lab is not None:
        inventory = read_inventory(lab)
        try:
            entry = inventory.sae(name)
        except KeyError:
            raise typer.BadParameter(f"there is no SAE {name} in {lab}") from None
        files = (ca or Path(inventory.ca), cert or Path(entry.cert), key or Path(entry.key))
        identity = Identity(name, *files)
        return url or inventory.home(name).etsi014_url, identity
    if not (url and ca and cert and key):
        raise typer.BadParameter(f"give the URL of the KME of {name}, --ca, and its certificate and key; or --lab")
    return url, Identity(name, ca, cert, key)


def _run[Target](suite: "Suite[Target]", target: Target, as_json: bool) -> "Report":
    def told(result: "Result") -> None:
        if result.verdict == "fail" and not as_json:
            about = f"{result.clause}, {result.level}: {result.name}"
            output.print_note(f"{about}: expected {result.expected}; found {result.found}")

    return suite.run(target, told)


def _finish(report: "Report", as_json: bool) -> None:
    counts = {verdict: report.count(verdict) for verdict in ("pass", "fail", "skipped")}
    if as_json:
        results = [asdict(result) for result in report.results]
        output.print_json({"standard": report.standard, "conforms": report.conforms, **counts, "results": results})
    else:
        rows = [(r.clause, r.name, r.level, r.verdict, r.found) for r in report.results]
        output.print_table(("clause", "check", "level", "verdict", "found"), rows)
        output.print_note(f"{report.standard}: {', '.join(f'{n} {verdict}' for verdict, n in counts.items())}")
    if not report.conforms:
        required = sum(result.level == "required" for result in report.failed())
        raise KeyhopError(
            f"{required} required checks failed", hint="each says its clause, what was expected and what was found"
        )


@app.command()
def etsi020(
    url: Annotated[str, typer.Argument(metavar="URL", help="The KMS to try, https://HOST:PORT.")],
    initiator: Annotated[str, typer.Option(help="An SAE of the domain that this command stands for.")],
    target: Annotated[str, typer.Option(help="An SAE behind the KMS.")],
    ca: Annotated[Path, _pem("--ca", "Authority of the KMS's certificate (PEM).")],
    cert: Annotated[Path, _pem("--cert", "Certificate to show, and to take acknowledgements with (PEM).")],
    key: Annotated[Path, _pem("--key", "Its private key (PEM).")],
    callback_listen: Annotated[str, typer.Option(help="Where to take acknowledgements, host:port.")] = "127.0.0.1:0",
    callback_url: Annotated[str | None, typer.Option(help="The same as the KMS gets there, https://…")] = None,
    slave_url: Annotated[str | None, typer.Option(help="KME of the target SAE (ETSI 014): more can be tried.")] = None,
    slave_ca: Annotated[Path | None, _pem("--slave-ca", "Authority of that KME's certificate (PEM).")] = None,
    slave_cert: Annotated[Path | None, _pem("--slave-cert", "The target SAE's certificate (PEM).")] = None,
    slave_key: Annotated[Path | None, _pem("--slave-key", "The target SAE's private key (PEM).")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for an acknowledgement.", min=0.1, max=600)] = 15.0,
    timeout: TimeoutOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """ETSI GS QKD 020 V1.1.1: hand keys over to a KMS, as the KMS of another domain."""
    from keyhop.testing.conformance.etsi020 import SUITE, Etsi020Target
    from keyhop.testing.conformance.etsi020.callbacks import callback_server
    from keyhop.testing.conformance.https import Identity, Party

    identity = Identity("", ca, cert, key)
    slave = None
    if slave_url is not None:
        if not (slave_cert and slave_key):
            raise typer.BadParameter("--slave-url needs --slave-cert and --slave-key")
        slave = Party(slave_url, Identity(target, slave_ca or ca, slave_cert, slave_key), timeout)
    kms = Party(url, identity, timeout)
    try:
        with callback_server(identity, _address(callback_listen), callback_url) as callbacks:
            tried = Etsi020Target(kms, callbacks, initiator, target, slave, wait)
            _finish(_run(SUITE, tried, as_json), as_json)
    finally:
        for party in (kms, slave):
            if party is not None:
                party.close()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise typer.BadParameter(f"{text} is no host:port")
    return host.strip("[]"), int(port)
