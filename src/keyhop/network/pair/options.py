"""What an operator sets of a pair of streams."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How much a stream may hold for its owner, and for slaves that have not fetched; how long its bytes live; how much
    of the stock is reserved for each pair of SAEs; whether there are to be secrets for `hybrid` keys, and seeds to
    `expand`."""

    stock_bytes: int = 16 << 20
    unfetched_bytes: int = 64 << 20
    key_lifetime_s: float = 86400.0
    reserved_bytes_per_pair: int = 4096
    hybrid: bool = False
    expand: bool = False
