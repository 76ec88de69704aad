"""How many bytes of pads went over the wires, stream by stream: what the books of both ends are held against."""

from collections import Counter

from keyhop.core.streams import StreamRef
from keyhop.network.relay.messages import Forward, PadPlace
from keyhop.network.wire import Body, Carry


class Padded:
    """A message that is sent again counts once."""

    def __init__(self) -> None:
        self._seen: set[tuple[StreamRef, int, int]] = set()
        self._bytes: Counter[StreamRef] = Counter()

    def bytes_of(self, stream: StreamRef) -> int:
        """How many bytes of it were pads of messages."""
        return self._bytes[stream]

    def transmitted(self, stream: StreamRef, message: Body) -> None:
        """A KME sends something to the follower of the stream."""
        if isinstance(message, Carry) and message.number:
            return  # no bytes of the stream, but of a seed
        if isinstance(message, Carry | Forward | PadPlace):
            place = (stream, message.epoch, message.pad)
            if place not in self._seen:
                self._seen.add(place)
                self._bytes[stream] += message.size if isinstance(message, PadPlace) else len(message.sealed)
