"""What a round's counts say at the parameters of the links that are shipped, with their dead times."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keyhop.core.keys import KeyMaterial
from keyhop.lab import load_topology
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.key_length.finite_key import Counts
from keyhop.link.bb84.optics.line import SimulatedLine
from keyhop.link.bb84.optics.pulses import PulseSource
from keyhop.link.bb84.protocol.round_rules import judge, live_gates
from keyhop.link.bb84.settings import Bb84Options, agreed_text, differences
from keyhop.link.bb84.sifting.collecting import Collecting
from keyhop.link.bb84.sifting.rounds import SiftedRound
from keyhop.link.bb84.sifting.sides import ReceiverSifting, TransmitterSifting


def shipped(name: str) -> Bb84Options:
    fields: dict[str, Any] = {"role": "receiver", "enrolment_file": Path("unread"), "pulses_file": Path("unread")}
    return msgspec.convert(fields | load_topology(name).links[0].options, Bb84Options)


def a_round(options: Bb84Options, eavesdropper: Eavesdropper | None) -> SiftedRound:
    """As the receiver has it."""
    source, detectors = options.source, options.detectors
    pulses = PulseSource(source, KeyMaterial(b"s" * 32), b"run")
    line = SimulatedLine(source, options.channel, detectors, pulses, b"seed")
    line.disturb(Disturbance(eavesdropper=eavesdropper))
    gathers = Collecting(options.block_bits, source.z_probability, detectors.z_probability, 1000)
    receiver = ReceiverSifting(options.block_bits, len(source.intensities), gathers)
    transmitter = TransmitterSifting(options.block_bits, len(source.intensities))
    while (done := receiver.take_round()) is None:
        receiver.detected(line.detect(50_000_000))
        while (announcement := receiver.announce()) is not None:
            receiver.sifted(transmitter.detections(*announcement, pulses.states))
    return done


def reason(options: Bb84Options, eavesdropper: Eavesdropper | None) -> str | None:
    done = a_round(options, eavesdropper)
    doubles = done.doubles
    assert doubles is not None
    both = (doubles.z_matching, doubles.z_other, doubles.x_matching, doubles.x_other)
    m_z = tuple(round(0.03 * events) for events in done.n_z)
    verdict = judge(done, Counts(done.n_z, m_z, done.n_x, done.m_x), both, sum(done.n_z) // 4, options)
    assert verdict.alarm is (verdict.reason is not None)
    return verdict.reason


@pytest.mark.parametrize("name", ["two-sites", "toshiba-cambridge-1"])
def test_blinding_is_found_with_dead_time_and_an_honest_line_is_not_blamed(name: str) -> None:
    options = shipped(name)
    assert options.detectors.dead_time_ns > 200
    assert reason(options, None) is None
    assert "may be blinded" in (reason(options, Eavesdropper("blinding", fraction=0.3)) or "")


def test_live_gates_are_those_that_a_click_could_have_come_in() -> None:
    """At 0 dB clicks are so frequent that most gates are dead; in the others light clicks as often as without them."""
    options = shipped("two-sites")
    done = a_round(options, None)
    seen = done.detections
    clicks = seen.z_matching + seen.z_other + seen.x_matching + seen.x_other
    gates = live_gates(done, options)
    assert gates < 0.3 * (done.end_slot - done.first_slot)
    mean = sum(i * p for i, p in zip(options.source.intensities, options.source.probabilities, strict=True))
    assert clicks / gates == pytest.approx(mean * options.detectors.efficiency, rel=0.05)


def test_both_ends_must_have_the_same_dead_time() -> None:
    options = shipped("two-sites")
    other = agreed_text(replace(options, detectors=replace(options.detectors, dead_time_ns=1.0)))
    assert differences(agreed_text(options), other) == "detectors.dead_time_ns"
