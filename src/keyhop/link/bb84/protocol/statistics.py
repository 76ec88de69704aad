"""Figures of one end since it was started, for an operator."""

from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES
from keyhop.link.bb84.protocol.round_rules import Outcome

TAG_KEY_BITS = 8 * ENTRY_BYTES


class Statistics:
    """Counts over all runs; `sifted_bps` of the last seconds; `last` of the last round."""

    def __init__(self) -> None:
        self.sifted_bps = 0.0
        self.rounds = 0
        self.discarded_rounds = 0
        self.runs = 0
        self.tag_keys_used = 0
        self.last: dict[str, float | int | str] = {}

    def round_is_over(self, outcome: Outcome) -> None:
        """Takes the figures of a round, whatever it yielded."""
        self.rounds += 1
        self.last = outcome.figures

    def details(self) -> dict[str, float | int | str]:
        """As `LinkStatus.details` shows them."""
        return {
            "rounds": self.rounds,
            "rounds_discarded": self.discarded_rounds,
            "runs": self.runs,
            "sifted_bps": round(self.sifted_bps),
            "tag_key_bits_spent": TAG_KEY_BITS * self.tag_keys_used,
            **self.last,
        }
