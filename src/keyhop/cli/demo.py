"""`keyhop demo`: two sites, one key, step by step."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from keyhop.apps.client import ClientError, Status
from keyhop.cli.lab_foreground import stay, stop_on_signals
from keyhop.cli.output import print_note
from keyhop.core.errors import ConfigurationError, KeyhopError
from keyhop.lab import Lab
from keyhop.lab.demo import Applications, Exchange, Latency, by_hand, latency
from keyhop.node.state import LinkInfo

app = typer.Typer(add_completion=False)

ALICE, BOB = "alicesae", "bobsae"
MEASURED_EXCHANGES = 50


@app.command()
def demo(
    stay_up: Annotated[
        bool, typer.Option("--stay", envvar="KEYHOP_DEMO_STAY", help="Leave the network running until Ctrl-C.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            envvar="KEYHOP_DEMO_DIR",
            help="Keep the lab there instead of in a temporary directory.",
            file_okay=False,
        ),
    ] = None,
) -> None:
    """Bring up two sites and do the key exchange of the Wells Fargo QKD case study of September 2024, phase A.

    Exit 0 when both ends agree. A lab that ran in DIR before goes on running.
    """
    stop_on_signals()
    with ExitStack() as cleaning:
        if directory is None:
            directory = Path(cleaning.enter_context(tempfile.TemporaryDirectory(prefix="keyhop-demo-")))
        ran_before = _runs(directory)
        lab = Lab.up("two-sites", directory, progress=print_note)
        if not ran_before:
            cleaning.callback(lab.down)
        try:
            _show(lab, stay_up)
        except ClientError as failure:
            raise KeyhopError(f"a KME refused what it should give: {failure.message}") from None
        if ran_before:
            print_note(f"the lab ran before and goes on; stop it with: keyhop lab down --dir {directory}")
        elif stay_up:
            stay(lab)


def _runs(directory: Path) -> bool:
    try:
        return bool(Lab.load(directory).running())
    except ConfigurationError:  # there is none yet
        return False


def _show(lab: Lab, stay_up: bool) -> None:
    out = Console(highlight=False, soft_wrap=True)
    inventory = lab.inventory()
    with Applications.connected(inventory, ALICE, BOB) as saes:
        out.print("[bold]Two sites, one key[/]: the Wells Fargo QKD case study of September 2024, phase A\n")
        before = saes.status(BOB, ALICE)
        done = []
        for title, master, slave in (
            ("Key delivery, Bob to Alice", BOB, ALICE),
            ("The reverse, Alice to Bob", ALICE, BOB),
        ):
            exchange = saes.exchange(master, slave)
            saes.check_spent(exchange)
            _show_exchange(out, title, exchange, inventory.sae(master).kme, inventory.sae(slave).kme)
            done.append(exchange)
        print_note(f"measuring {MEASURED_EXCHANGES} more exchanges")
        measured = [saes.exchange(BOB, ALICE) for _ in range(MEASURED_EXCHANGES)]
        waited = latency(measured)
        _show_status(out, before, saes.status(BOB, ALICE))
    out.print("\n[bold]The same by hand[/]" + ("" if stay_up else " (with `keyhop demo --stay`, while it runs)"))
    for what, line in by_hand(inventory, BOB, ALICE):
        out.print(f"[dim]# {escape(what)}[/]")
        out.print(line, markup=False)
    links = lab.state()[0].links
    _show_summary(out, len(done) + len(measured), waited, links)


def _show_exchange(out: Console, title: str, done: Exchange, master_kme: str, slave_kme: str) -> None:
    key = f"<{done.size_bits} bits of key>"
    out.print(f"[bold]{title}[/]")
    out.print(f"  1. {done.master} asks its KME {master_kme} for a key to share with {done.slave} (enc_keys)")
    out.print(f"     key_ID [cyan]{done.key_id}[/]")
    out.print(f"     key    {key}", markup=False)
    out.print(f"  2. only the key_ID goes to {done.slave}; the key itself crosses no line")
    out.print(f"  3. {done.slave} asks its KME {slave_kme} for that key_ID (dec_keys)")
    out.print(f"     key    {key}", markup=False)
    out.print("     identical: [green]yes[/]; asked for once more, the KME refuses: a key is delivered once\n")


def _show_status(out: Console, before: Status, after: Status) -> None:
    out.print(f"[bold]Status at Bob[/] ({after.master_sae_id} with {after.slave_sae_id}, before and after)")
    counts = f"{before.stored_key_count} -> {after.stored_key_count}"
    out.print(f"  stored_key_count {counts} (the link goes on producing)")
    out.print(f"  key_size {after.key_size_bits}, max_key_count {after.max_key_count}")


def _show_summary(out: Console, keys: int, waited: Latency, links: list[LinkInfo]) -> None:
    times = f"get {waited.get_ms:.2f} ms, fetch {waited.fetch_ms:.2f} ms"
    out.print("\n[bold]Summary[/]")
    out.print(f"  keys     {keys} exchanged, all identical at both ends")
    out.print(f"  latency  {times} (p50 of {waited.keys} on this machine)")
    for link in links:
        sbr = f"{link.sbr_bps / 1000:.0f} kbps"
        qber = "unknown" if link.qber is None else f"{100 * link.qber:.2f} %"
        out.print(f"  link     {link.id}: {link.state}, SBR {sbr}, QBER {qber}")
        out.print("           BB84 over a simulated line: `keyhop lab eve` puts Eve on it, `keyhop link` shows it")
