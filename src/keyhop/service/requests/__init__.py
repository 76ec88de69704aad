"""What an SAE can ask of its KME and what it gets, free of any wire format.

The interfaces (ETSI 014 first) translate their messages into these; `delivery` answers them.

    asked        what is asked for
    answers      what is answered, and what is told of the keys in it
    key_service  what an interface needs of the delivery
"""

from keyhop.service.requests.answers import (
    FOREIGN_SOURCE,
    RECORD_SOURCE,
    SAE_SOURCE,
    InsertedKeys,
    InsertReply,
    KeyReply,
    KeyRun,
    Keys,
    Mark,
    Provenance,
    Status,
    VoidedKeys,
    VoidReply,
)
from keyhop.service.requests.asked import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    InsertKeys,
    Interface,
    RouteType,
    VoidKeys,
)
from keyhop.service.requests.key_service import KeyService

__all__ = [
    "FOREIGN_SOURCE",
    "RECORD_SOURCE",
    "SAE_SOURCE",
    "GetKey",
    "GetKeyWithIds",
    "GetStatus",
    "InsertKeys",
    "InsertReply",
    "InsertedKeys",
    "Interface",
    "KeyReply",
    "KeyRun",
    "KeyService",
    "Keys",
    "Mark",
    "Provenance",
    "RouteType",
    "Status",
    "VoidKeys",
    "VoidReply",
    "VoidedKeys",
]
