"""What the benchmark says at its end: a table, the aims, and the same as JSON."""

import os
import platform
import ssl
from collections.abc import Sequence
from pathlib import Path

import msgspec

from keyhop.cli.output import print_table
from measure import Idle, Round

NGINX, ENC, DEC = "nginx", "enc_keys", "dec_keys"
_COLUMNS = (
    "conns",
    "what",
    "keys",
    "bytes",
    "requests/s",
    "keys/s",
    "p50 ms",
    "p99 ms",
    "CPU us",
    "other us",
    "of nginx",
    "stolen",
    "neighbours",
    "try",
)


class Aim(msgspec.Struct, frozen=True):
    """What this issue promised, and what came of it; `measured` is None where the options left it out."""

    name: str
    aim: float
    measured: float | None
    met: bool | None


class Report(msgspec.Struct, frozen=True):
    """A whole run."""

    machine: dict[str, str]
    idle: tuple[Idle, ...]
    rounds: tuple[Round, ...]
    ratios: dict[str, float]
    aims: tuple[Aim, ...]


def make_report(rounds: Sequence[Round], idle: Sequence[Idle], machine: dict[str, str]) -> Report:
    """Ratios are keyed `what/keys per request/connections`."""
    ratios = {_key(this): ratio for this in rounds if (ratio := _of_nginx(this, rounds)) is not None}
    return Report(machine, tuple(idle), tuple(rounds), ratios, tuple(_aims(rounds)))


def machine(**more: str) -> dict[str, str]:
    """What the figures depend on."""
    known = {"cores": str(os.cpu_count()), "python": platform.python_version(), "openssl": ssl.OPENSSL_VERSION}
    return known | more


def print_report(report: Report) -> None:
    """Everything on stdout."""
    print(", ".join(f"{name} {value}" for name, value in report.machine.items()))
    print_table(_COLUMNS, [_row(this, report.ratios.get(_key(this))) for this in report.rounds])
    for idle in report.idle:
        print(
            f"idle, link of {idle.rate_bps / 1e6:g} Mbit/s: alice {idle.alice:.1%}, bob {idle.bob:.1%} of a core, "
            f"fdatasync {idle.fdatasync_ms:.3f} ms"
        )
    for aim in report.aims:
        verdict = {None: "not measured", True: "met", False: "missed"}[aim.met]
        print(f"{aim.name}: {_number(aim.measured)} (aim {_number(aim.aim)}): {verdict}")


def write_json(report: Report, path: Path) -> None:
    """The report as one document."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def _of_nginx(this: Round, rounds: Sequence[Round]) -> float | None:
    """Requests per CPU-second, as a ratio to nginx in the round of the same size and connections."""
    if this.what == NGINX:
        return None
    same = (this.keys_per_request, this.connections)
    limits = [r for r in rounds if r.what == NGINX and (r.keys_per_request, r.connections) == same]
    return this.requests_per_cpu_s / limits[0].requests_per_cpu_s if limits else None


def _aims(rounds: Sequence[Round]) -> list[Aim]:
    ratios = [_of_nginx(r, rounds) for r in rounds if r.what == ENC and r.keys_per_request == 1]
    aims = [_at_least("enc_keys, one key, the worst of nginx", 0.15, min((r for r in ratios if r), default=None))]
    for what in (ENC, DEC):
        batches = [r.keys_per_s for r in rounds if r.what == what and r.keys_per_request > 1]
        aims.append(_at_least(f"{what} in batches, the best of keys/s", 300_000, max(batches, default=None)))
    for what, aim_ms in ((ENC, 2.0), (DEC, 5.0)):
        alone = [r.load.p50_ms for r in rounds if (r.what, r.keys_per_request, r.connections) == (what, 1, 1)]
        measured = alone[0] if alone else None
        aims.append(
            Aim(f"{what}, one connection, p50 ms", aim_ms, measured, None if measured is None else measured < aim_ms)
        )
    return aims


def _at_least(name: str, aim: float, measured: float | None) -> Aim:
    return Aim(name, aim, measured, None if measured is None else measured >= aim)


def _row(this: Round, ratio: float | None) -> list[str]:
    load = this.load
    return [
        str(this.connections),
        this.what + (f" ({load.refused} refused)" if load.refused else ""),
        str(this.keys_per_request),
        str(load.body_bytes),
        _number(this.requests_per_s),
        "" if this.what == NGINX else _number(this.keys_per_s),
        f"{load.p50_ms:.3f}",
        f"{load.p99_ms:.3f}",
        f"{1e6 * this.server_cpu_s / load.requests:.1f}",
        f"{1e6 * this.other_cpu_s / load.requests:.1f}" if this.other_cpu_s else "",
        "" if ratio is None else f"{ratio:.3f}",
        f"{this.stolen:.0%}",
        f"{this.neighbours:.0%}",
        str(this.attempt),
    ]


def _key(this: Round) -> str:
    return f"{this.what}/{this.keys_per_request}/{this.connections}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"
