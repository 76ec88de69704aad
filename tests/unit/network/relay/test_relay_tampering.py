"""Altered messages of the relay: none of a few thousand is believed, and the check would see one that is."""

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.network.relay import destination
from keyhop.testing.relays.tampering import Tampering

FEW = 6000


class Lenient:
    """Poly1305, without the check."""

    generate_tag = staticmethod(Poly1305.generate_tag)

    @staticmethod
    def verify_tag(key: bytes, data: bytes, tag: bytes) -> None:
        pass


def test_no_altered_message_is_believed() -> None:
    outcome = Tampering(seed=1).run(FEW)
    assert sum(outcome.tried.values()) >= FEW
    assert set(outcome.tried) == {"Announce", "Contribution", "Forward", "PadPlace"}
    assert outcome.unreadable < FEW / 2
    assert outcome.believed == 0


def test_a_hop_that_checks_no_tag_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyhop.network.sealing.Poly1305", Lenient)
    assert Tampering(seed=1).run(FEW // 10).believed > 0


def test_a_destination_that_checks_no_proof_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "proven", lambda secret, key, header, check: secret[64:])
    assert Tampering(seed=1).run(FEW // 10).believed > 0
