"""The two streams between this node and a peer that have one route, kept in step over whatever connection there is.

session   both ends agree on what they remember, and speak only in that session
dispatch  which part of a pair a message is for
pair      Pair: the streams and all that works on them, and what time does to them
options   PairOptions: how much they hold, and for how long
"""

from keyhop.network.pair.options import PairOptions
from keyhop.network.pair.pair import Pair
from keyhop.network.pair.session import Transmit

__all__ = ["Pair", "PairOptions", "Transmit"]
