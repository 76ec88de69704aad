"""What a bb84 link will give as it is configured, before any light is on: for `keyhop node check` and labs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from keyhop.core.ids import LinkId
from keyhop.link.bb84.settings import Bb84Options
from keyhop.node.config import NodeConfig

MAX_BLOCK_BITS = 40_000_000
"""What `Bb84Options.block_bits` may be at most."""


@dataclass(frozen=True, slots=True)
class PlannedLink:
    """Expected figures of a link, over the line that this node's configuration describes.

    `secret_bps` is in secret bits per second, 0 where there will be no key; `qber` is a fraction; `round_s` is how
    long one round takes, in seconds on a machine that keeps up. Both are None where nothing is detected. `trouble` says
    why there is no key and `remedy` what to change; both are None where there is some.
    """

    link: LinkId
    role: Literal["transmitter", "receiver"]
    secret_bps: float
    qber: float | None
    round_s: float | None
    trouble: str | None = None
    remedy: str | None = None

    @property
    def warning(self) -> str | None:
        """For an operator, where there will be no key."""
        if self.trouble is None:
            return None
        return f"link {self.link}: no key with these settings: {self.trouble}; {self.remedy}"


def planned_links(config: NodeConfig) -> list[PlannedLink]:
    """One for each bb84 link; none where the extra `keyhop[bb84]` is not installed."""
    try:
        return [_planned(link.id, link.options) for link in config.links if isinstance(link.options, Bb84Options)]
    except ModuleNotFoundError:
        return []


def _planned(link: LinkId, options: Bb84Options) -> PlannedLink:
    try:
        secret_bps, qber, round_s = _figures(options, options.block_bits)
    except ValueError as failure:
        return PlannedLink(link, options.role, 0.0, None, None, str(failure), "lower the loss in [links.channel]")
    if qber > options.max_qber:
        trouble = f"a QBER of {100 * qber:.2f} % is over max_qber, {100 * options.max_qber:g} %"
        remedy = "raise visibility or lower dark_count_probability in [links.detectors], or lower the loss"
        return PlannedLink(link, options.role, 0.0, qber, round_s, trouble, remedy)
    if secret_bps > 0:
        return PlannedLink(link, options.role, secret_bps, qber, round_s)
    enough = next((size for size in _larger(options.block_bits) if _figures(options, size)[0] > 0), None)
    remedy = (
        f"raise block_bits: {enough} would do"
        if enough is not None
        else "no block_bits helps: lower the loss or the errors, or choose other intensities in [links.source]"
    )
    return PlannedLink(link, options.role, 0.0, qber, round_s, "an average round leaves 0 secret bits", remedy)


def _larger(block_bits: int) -> Iterator[int]:
    """Round sizes over that one, in steps of 200 000 and then of a million."""
    sizes = (*range(200_000, 5_000_000, 200_000), *range(5_000_000, MAX_BLOCK_BITS + 1, 1_000_000))
    return (size for size in sizes if size > block_bits)


def _figures(options: Bb84Options, block_bits: int) -> tuple[float, float, float]:
    """Secret bits per second, QBER and seconds per round. ValueError where nothing is detected."""
    # Only here: numpy and what is built on it are an extra of the package, and slow to import.
    from keyhop.link.bb84.key_length.finite_key import Security
    from keyhop.link.bb84.key_length.planning import configured_yield

    found = configured_yield(
        options.source,
        options.channel,
        options.detectors,
        block_bits,
        security=Security(options.epsilon_secrecy, options.epsilon_correctness),
    )
    return found.secret_bps, found.counts.qber_z, found.round_s
