"""What a link that is configured so will give, and a line for the optimiser, from options and formulas alone."""

import math
from dataclasses import replace

from keyhop.link.bb84.key_length.decoy_statistics import binary_entropy
from keyhop.link.bb84.key_length.finite_key import Counts, Security, key_length
from keyhop.link.bb84.key_length.parameters import Preparation, Response, Yield
from keyhop.link.bb84.optics.expected import expected
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions


def configured_yield(
    source: SourceOptions,
    channel: ChannelOptions,
    detectors: DetectorOptions,
    block_bits: int,
    *,
    reconciliation_efficiency: float = 1.05,
    security: Security | None = None,
    errors_public: bool = True,
) -> Yield:
    """The key of an average round of `block_bits` sifted Z bits, at the start of any drift.

    The yield's preparation names the transmitter's choice of basis. Raises ValueError where nothing is detected.
    """
    line = expected(source, channel, detectors)
    if line.sifted_z_per_s <= 0:
        raise ValueError("nothing is detected on this line")
    round_s = block_bits / line.sifted_z_per_s
    every = sum(p * gain for p, gain in zip(source.probabilities, line.gains, strict=True))
    shares = [p * gain / every for p, gain in zip(source.probabilities, line.gains, strict=True)]
    in_x = line.sifted_x_per_s * round_s
    counts = Counts(
        n_z=tuple(round(block_bits * share) for share in shares),
        m_z=tuple(round(block_bits * share * e) for share, e in zip(shares, line.error_rates, strict=True)),
        n_x=tuple(round(in_x * share) for share in shares),
        m_x=tuple(round(in_x * share * e) for share, e in zip(shares, line.error_rates, strict=True)),
    )
    disclosed = math.ceil(reconciliation_efficiency * sum(counts.n_z) * binary_entropy(counts.qber_z))
    key = key_length(
        counts,
        source.intensities,
        source.probabilities,
        disclosed,
        security or Security(),
        errors_public=errors_public,
    )
    return Yield(
        preparation=Preparation(source.intensities, source.probabilities, source.z_probability),
        counts=counts,
        key=key,
        secret_bps=key.bits / round_s,
        sifted_bps=line.sifted_z_per_s,
        detections_per_s=line.detections_per_s,
        round_s=round_s,
    )


def line_response(channel: ChannelOptions, detectors: DetectorOptions) -> Response:
    """What `optimise` needs of a line. Dead time is left out: a `Plan` has it."""
    awake = replace(detectors, dead_time_ns=0.0)

    def response(intensity: float) -> tuple[float, float]:
        steady = SourceOptions(intensities=(intensity, intensity), probabilities=(0.5, 0.5))
        line = expected(steady, channel, awake)
        return line.gains[0], line.error_rates[0]

    return response
