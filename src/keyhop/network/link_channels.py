"""Messages between the adapters of links, carried as they are in the session of two nodes."""

from collections.abc import Callable

from keyhop.core.ids import LinkId
from keyhop.network.wire import Body, LinkMessage

type Receive = Callable[[bytes], None]


class PairChannel:
    """The `LinkChannel` of one link."""

    def __init__(self, link: LinkId, send: Callable[[Body], None]) -> None:
        self._link = link
        self._send = send
        self.receive: Receive | None = None

    def send(self, message: bytes) -> None:
        """To the adapter at the far end; lost while there is no session."""
        self._send(LinkMessage(self._link, message))

    def listen(self, received: Receive | None) -> None:
        """Where messages go from now on."""
        self.receive = received


class LinkChannels:
    """The channels of all links between two nodes."""

    def __init__(self, send: Callable[[Body], None]) -> None:
        self._send = send
        self._channels: dict[LinkId, PairChannel] = {}

    def open(self, link: LinkId) -> PairChannel:
        """The channel of a link, always the same."""
        return self._channels.setdefault(link, PairChannel(link, self._send))

    def received(self, message: LinkMessage) -> None:
        """To the adapter, if there is such a link and it listens. Raises PeerError as the adapter does."""
        channel = self._channels.get(LinkId(message.link))
        if channel and channel.receive:
            channel.receive(message.data)
