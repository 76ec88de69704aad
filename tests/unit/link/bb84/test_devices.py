"""The simulated transmitter and receiver, as a link uses them."""

import numpy as np
import pytest

from keyhop.core.errors import ConfigurationError, LinkError
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance, Eavesdropper
from keyhop.link.bb84.devices import ReceiverDevice, SimulatedReceiver, SimulatedTransmitter, TransmitterDevice
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.sifting.collecting import Collecting
from keyhop.link.bb84.sifting.sides import ReceiverSifting, TransmitterSifting
from keyhop.testing.virtual import SeededEntropy

SOURCE = SourceOptions(clock_hz=1e8)
SECRET = KeyMaterial(bytes(range(32)))
LINE = ChannelOptions(loss_db=3.0)
SLOTS = 400_000


def transmitter() -> SimulatedTransmitter:
    return SimulatedTransmitter(SOURCE, SECRET)


def receiver(seed: int = 1, channel: ChannelOptions = LINE) -> SimulatedReceiver:
    return SimulatedReceiver(SOURCE, channel, DetectorOptions(), SECRET, SeededEntropy(seed))


def error_rate(detections: Detections, device: TransmitterDevice) -> float:
    sent = device.states(detections.slots)
    matching = sent.bases == detections.bases
    return float(np.mean(sent.bits[matching] != detections.bits[matching]))


def test_they_are_devices_and_the_receiver_sees_what_was_sent() -> None:
    sending: TransmitterDevice = transmitter()
    receiving: ReceiverDevice = receiver()
    sending.begin(b"run")
    receiving.begin(b"run")
    assert receiving.clock_hz == 1e8
    first, second = receiving.detect(SLOTS), receiving.detect(SLOTS)
    assert (first.first_slot, first.end_slot, second.first_slot, second.end_slot) == (0, SLOTS, SLOTS, 2 * SLOTS)
    for seen in (first, second):
        assert len(seen.slots) > 5000
        assert error_rate(seen, sending) < 0.04  # half of it is 1 - visibility, and doubles


def test_their_detections_can_be_sifted() -> None:
    sending, receiving = transmitter(), receiver()
    z = SOURCE.z_probability
    at_transmitter, at_receiver = TransmitterSifting(4000, 2), ReceiverSifting(4000, 2, Collecting(4000, z, z, 10))
    for device in (sending, receiving):
        device.begin(b"run")
    for _ in range(3):
        at_receiver.detected(receiving.detect(SLOTS))
        while (announcement := at_receiver.announce()) is not None:
            at_receiver.sifted(at_transmitter.detections(*announcement, sending.states))
    key, other = at_transmitter.take_round(), at_receiver.take_round()
    assert key is not None
    assert other is not None
    assert np.array_equal(key.intensities, other.intensities)
    assert 0 < np.mean(key.bits != other.bits) < 0.04
    assert (key.n_z, key.n_x, key.detections) == (other.n_z, other.n_x, other.detections)
    assert key.detections.z_other > key.detections.x_matching > 0  # both choose Z seven times out of eight


def test_another_run_has_other_pulses_and_other_detections() -> None:
    sending, receiving = transmitter(), receiver()
    sending.begin(b"run 1")
    receiving.begin(b"run 1")
    before = receiving.detect(SLOTS)
    receiving.begin(b"run 2")
    after = receiving.detect(SLOTS)
    assert after.first_slot == 0
    assert not np.array_equal(before.slots, after.slots)
    assert error_rate(after, sending) > 0.45  # compared with the pulses of the first run
    sending.begin(b"run 2")
    assert error_rate(after, sending) < 0.04


def test_the_same_run_twice_has_the_same_pulses_but_other_detections() -> None:
    sending, receiving = transmitter(), receiver()
    sending.begin(b"run")
    receiving.begin(b"run")
    before = receiving.detect(SLOTS)
    receiving.begin(b"run")
    after = receiving.detect(SLOTS)
    assert not np.array_equal(before.slots, after.slots)
    assert error_rate(before, sending) < 0.04
    assert error_rate(after, sending) < 0.04


def test_chance_comes_from_the_entropy() -> None:
    one, same, other = receiver(1), receiver(1), receiver(2)
    seen = []
    for device in (one, same, other):
        device.begin(b"run")
        seen.append(device.detect(SLOTS).slots.tolist())
    assert seen[0] == seen[1] != seen[2]


def test_a_disturbance_acts_from_the_next_slots_on_and_in_runs_to_come() -> None:
    sending, receiving = transmitter(), receiver()
    eve = Disturbance(eavesdropper=Eavesdropper())
    for device in (sending, receiving):
        device.begin(b"run")
    assert receiving.disturbance == Disturbance()
    receiving.disturb(eve)
    assert receiving.disturbance == eve
    assert error_rate(receiving.detect(SLOTS), sending) > 0.2
    for device in (sending, receiving):
        device.begin(b"next run")
    assert error_rate(receiving.detect(SLOTS), sending) > 0.2
    receiving.disturb(Disturbance())
    assert error_rate(receiving.detect(SLOTS), sending) < 0.04


def test_a_line_may_be_cut_before_the_first_run() -> None:
    receiving = receiver()
    receiving.disturb(Disturbance(cut=True))
    receiving.begin(b"run")
    assert len(receiving.detect(SLOTS).slots) < 10  # dark counts


def test_an_impossible_disturbance_changes_nothing() -> None:
    receiving = receiver()
    receiving.begin(b"run")
    with pytest.raises(ConfigurationError):
        receiving.disturb(Disturbance(extra_loss_db=-1.0))
    assert receiving.disturbance == Disturbance()
    assert len(receiving.detect(SLOTS).slots) > 5000


def test_no_run_no_pulses() -> None:
    with pytest.raises(LinkError):
        transmitter().states(np.arange(3))
    with pytest.raises(LinkError):
        receiver().detect(SLOTS)


def test_contradictory_options_are_found_at_once() -> None:
    with pytest.raises(ConfigurationError):
        receiver(channel=ChannelOptions(medium="fibre", wavelength_nm=800.0))
