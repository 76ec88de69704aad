"""What the adapters of links say to each other."""

from typing import Annotated

from msgspec import Meta

from keyhop.network.wire_types import Message, Name

MAX_LINK_MESSAGE_BYTES = 1 << 20


class LinkMessage(Message, frozen=True):
    """From the adapter of a link to the one at the other end."""

    link: Name
    data: Annotated[bytes, Meta(max_length=MAX_LINK_MESSAGE_BYTES)]
