"""What an announcement says of a parcel, how much that is, and what of it the proof covers."""

import msgspec

from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId
from keyhop.network.relay.messages import Announce
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.network.relay.proof import KEY_BYTES, check_of, secret_of

PARCEL_ID_BYTES = 16


def announced(parcel: Parcel, plan: Plan, source: KmeId, entropy: Entropy) -> tuple[Announce, bytes]:
    """What is said of a parcel, under a fresh ID and key; and the secret that travels along its paths."""
    name, key = entropy.token(PARCEL_ID_BYTES), entropy.token(KEY_BYTES)
    announce = Announce(name, parcel.payload, plan.strategy, plan.paths, plan.threshold, len(parcel.data), key)
    secret = secret_of(parcel.data.reveal(), entropy)
    check = check_of(secret, key, header_of(announce, source, parcel.destination))
    return msgspec.structs.replace(announce, check=check), secret


def header_of(announce: Announce, source: KmeId, destination: KmeId) -> bytes:
    """All but the check itself, and what travels beside it in place of a share."""
    bare = msgspec.structs.replace(announce, check=b"", masked=b"")
    return msgspec.msgpack.encode(("keyhop parcel v1", source, destination, bare))


def size_of(announce: Announce) -> int:
    """What it takes to keep it: of records it has all IDs, beside the names of all nodes and what travels beside it."""
    return len(msgspec.msgpack.encode(announce))


def plan_of(announce: Announce) -> Plan:
    """How its parcel travels."""
    paths = tuple(tuple(KmeId(node) for node in path) for path in announce.paths)
    return Plan(announce.strategy, paths, announce.threshold)
