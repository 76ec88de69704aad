"""Blocks → streams.

Both ends of a link get the same blocks from their adapters. The node with the lower name decides for each block
whose stream it goes to (the one with less left to take: stock follows demand) and offers the other its share. The
owner then places blocks: it names them, with a tag under the block's own first 32 bytes, the follower checks its
copies against the tags and stores them durably at that position, and only then does the owner append them. A
block whose copies differ, or that one end no longer has, is dropped by both.

Blocks that were relayed come to both ends too, and are placed alike; whose they are is settled before they are made.

    blocks     a block on its way, and queues of them
    levels     how full the two streams are
    waiting    all blocks that both ends hold until they are in a stream, or dropped
    deciding   whose stream a block goes to
    placing    the owner's side: names blocks, appends those that the follower has
    following  the follower's side: checks them, and stores them first
    filling    Filling: all of that for one pair of streams
"""

from keyhop.network.filling.filling import Filling

__all__ = ["Filling"]
