"""What an announcement says of a parcel, and what of it the proof covers."""

import msgspec

from keyhop.core.ids import KmeId
from keyhop.network.relay.messages import Announce
from keyhop.network.relay.parcels import Plan


def header_of(announce: Announce, source: KmeId, destination: KmeId) -> bytes:
    """All but the check itself, and what travels beside it in place of a share."""
    bare = msgspec.structs.replace(announce, check=b"", masked=b"")
    return msgspec.msgpack.encode(("keyhop parcel v1", source, destination, bare))


def plan_of(announce: Announce) -> Plan:
    """How its parcel travels."""
    paths = tuple(tuple(KmeId(node) for node in path) for path in announce.paths)
    return Plan(announce.strategy, paths, announce.threshold)
