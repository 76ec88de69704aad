"""Planning from options: the sets of docs/reference/bb84.md give the rates that were published."""

from dataclasses import replace

import pytest

from keyhop.link.bb84.key_length.parameters import Plan, Preparation, optimise
from keyhop.link.bb84.key_length.planning import configured_yield, line_response
from keyhop.link.bb84.optics.options import (
    ChannelOptions,
    DetectorOptions,
    FibreOptions,
    SourceOptions,
    check_channel,
    check_detectors,
    check_source,
)


def fibre(length_km: float) -> ChannelOptions:
    return ChannelOptions(medium="fibre", fibre=FibreOptions(length_km=length_km))


def loss(loss_db: float) -> ChannelOptions:
    return ChannelOptions(loss_db=loss_db)


def receiver(efficiency: float, dead_time_ns: float, visibility: float) -> DetectorOptions:
    return DetectorOptions(
        efficiency=efficiency, dead_time_ns=dead_time_ns, visibility=visibility, afterpulse_probability=0.01
    )


@pytest.mark.parametrize(
    ("channel", "detectors", "preparation", "block_bits", "secret_kbps", "qber"),
    [
        pytest.param(*row, id=name)
        for name, *row in (
            # Wells Fargo 2024 (SBR 726 kb/s, QBER 3.2 %); Toshiba's SBRs of 3.95 and 2.89 Mb/s, 352 and 741 kb/s
            (
                "wells-fargo",
                fibre(0.14),
                receiver(0.2, 234, 0.9456),
                ((0.14, 0.034), (0.25, 0.75), 0.83),
                1.6e6,
                726,
                0.032,
            ),
            ("toronto-1", loss(0), receiver(0.3, 46, 0.9575), ((0.213, 0.065), (0.4, 0.6), 0.873), 4.8e6, 3950, 0.026),
            ("toronto-2", loss(0), receiver(0.3, 51, 0.9454), ((0.19, 0.056), (0.37, 0.63), 0.861), 4.8e6, 2890, 0.032),
            (
                "cambridge-1",
                loss(10),
                receiver(0.3, 265, 0.95),
                ((0.21, 0.064), (0.36, 0.64), 0.813),
                1.6e6,
                352,
                0.030,
            ),
            (
                "cambridge-2",
                loss(10),
                receiver(0.3, 148, 0.962),
                ((0.26, 0.087), (0.48, 0.52), 0.862),
                4.8e6,
                741,
                0.024,
            ),
            # No rate was published: ours
            (
                "cablelabs",
                fibre(25),
                receiver(0.2, 1000, 0.96),
                ((0.135, 0.033), (0.25, 0.75), 0.85),
                1.6e6,
                235,
                0.025,
            ),
        )
    ],
)
def test_documented_parameters_give_published_rates(
    channel: ChannelOptions,
    detectors: DetectorOptions,
    preparation: tuple[tuple[float, ...], tuple[float, ...], float],
    block_bits: float,
    secret_kbps: float,
    qber: float,
) -> None:
    source = SourceOptions(1e9, *preparation)
    detectors = replace(detectors, z_probability=source.z_probability)
    check_source(source)
    check_channel(channel)
    check_detectors(detectors, source)
    result = configured_yield(source, channel, detectors, round(block_bits))
    assert result.secret_bps / 1e3 == pytest.approx(secret_kbps, rel=0.01)
    assert result.counts.qber_z == pytest.approx(qber, abs=5e-4)
    assert result.round_s < 4


def test_the_ends_may_choose_bases_differently() -> None:
    source, detectors = SourceOptions(z_probability=0.9), DetectorOptions(z_probability=0.6)
    counts = configured_yield(source, loss(10), detectors, 10**6).counts
    assert sum(counts.n_x) / sum(counts.n_z) == pytest.approx(0.1 * 0.4 / (0.9 * 0.6), rel=1e-3)


def test_what_the_optimiser_promises_is_what_the_configured_link_gives() -> None:
    detectors = DetectorOptions(dead_time_ns=100)
    found = optimise(Plan(line_response(loss(10), detectors), 1e9, 4_000_000, dead_time_ns=100))
    chosen: Preparation = found.preparation
    source = SourceOptions(1e9, chosen.intensities, chosen.probabilities, chosen.z_probability)
    configured = configured_yield(source, loss(10), replace(detectors, z_probability=chosen.z_probability), 4_000_000)
    assert configured.secret_bps == pytest.approx(found.secret_bps, rel=0.01)
    assert configured.round_s == pytest.approx(found.round_s, rel=0.01)


def test_a_line_without_detections_gives_nothing() -> None:
    with pytest.raises(ValueError, match="nothing is detected"):
        configured_yield(
            SourceOptions(intensities=(0.0, 0.0)), loss(10), DetectorOptions(dark_count_probability=0.0), 10**6
        )
