"""A BB84 link, part by part and as a whole: .venv/bin/python bench/link.py [--quick] [--only PART,PART]

Parts are measured in CPU time of one core; whole links run between two real nodes over loopback TLS, in real time.
"""

import argparse
from collections.abc import Callable, Iterator

import link_cascade
import link_ldpc
import link_photons
import link_rounds
import link_sifting
import link_toeplitz
from keyhop.lab import Topology
from keyhop.lab.topology import Kme, Link
from link_lab import LinkRun, watch
from progress import say

CLOCK_HZ = 1e9
BLOCK_BITS = 20_000_000
PARTS: dict[str, tuple[str, Callable[[], list[tuple[str, str]]]]] = {
    "photons": ("The simulated line", link_photons.measure),
    "sifting": ("Sifting, both parties", link_sifting.measure),
    "cascade": ("Reconciliation by Cascade, both parties", link_cascade.measure),
    "ldpc": ("Reconciliation by LDPC, both parties", link_ldpc.measure),
    "toeplitz": ("Privacy amplification, one party", link_toeplitz.measure),
    "rounds": ("Whole rounds in one process, both parties", link_rounds.measure),
}
WHOLE = "links"

# The intensities, probabilities and basis choice that `key_length.parameters.optimise` finds for rounds of 2e7
# bits with detectors of 20 % efficiency, 1e-6 dark counts a gate and a visibility of 96 %.
PREPARATIONS: dict[float, dict[str, object]] = {
    10.0: {"intensities": [0.413, 0.118], "probabilities": [0.7, 0.3], "z_probability": 0.882},
    2.0: {"intensities": [0.429, 0.124], "probabilities": [0.7, 0.3], "z_probability": 0.884},
}


def main() -> None:
    """Prints each part as soon as it is measured."""
    options = _options()
    for name, (title, measure) in PARTS.items():
        if name in options.only:
            say(f"measuring {name}")
            print(f"\n{title}")
            for label, figure in measure():
                print(f"  {label:<64} {figure}")
    if WHOLE in options.only:
        print("\nWhole links between two nodes over loopback TLS, at 1 GHz, aims in brackets")
        for loss_db in PREPARATIONS:
            for label, figure in _whole(loss_db, 10.0 if options.quick else 40.0):
                print(f"  {label:<64} {figure}")
    say("")


def _whole(loss_db: float, seconds: float) -> Iterator[tuple[str, str]]:
    run = watch(line(loss_db), CLOCK_HZ, seconds, say)
    yield f"{loss_db:g} dB: of real time simulated", f"{run.simulated:.1%}" + (" [100 %]" if loss_db == 10 else "")
    aim = " [1.2; better 1.6]" if loss_db == 10 else " [3; better 6.5]"
    yield f"{loss_db:g} dB: secret", f"{run.secret_bps / 1e6:.2f} Mbit/s{aim}"
    yield (
        f"{loss_db:g} dB: sifted",
        f"{run.sifted_bps / 1e6:.2f} Mbit/s" + ("" if loss_db == 10 else " [12; better 25]"),
    )
    yield (
        f"{loss_db:g} dB: QBER, f, secret of sifted",
        f"{run.qber:.2%}, {run.efficiency:.4f}, {run.secret_fraction:.3f}",
    )
    yield f"{loss_db:g} dB: cores, transmitter's and receiver's node", _cores(run)


def _cores(run: LinkRun) -> str:
    return f"{run.transmitter_cores:.2f} + {run.receiver_cores:.2f}, stolen by the host {run.stolen:.0%}"


def line(loss_db: float) -> Topology:
    """Two nodes and a link at 1 GHz over that loss."""
    preparation = PREPARATIONS[loss_db]
    options = {
        "block_bits": BLOCK_BITS,
        "source": {"clock_hz": CLOCK_HZ, **preparation},
        "channel": {"loss_db": loss_db},
        "detectors": {"z_probability": preparation["z_probability"]},
    }
    kmes = (Kme("alice"), Kme("bob"))
    return Topology(kmes=kmes, links=(Link("alice-bob", ("alice", "bob"), "bb84", options=options),))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="whole links for 10 s instead of 40")
    parser.add_argument("--only", type=_names, default=[*PARTS, WHOLE], help=f"of {', '.join([*PARTS, WHOLE])}")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= {*PARTS, WHOLE}:
        raise ValueError
    return names


if __name__ == "__main__":
    main()
