"""What KMSs ask each other in these tests, and what is read out of their answers. Key n has the ID of 16 bytes n."""

import base64
import json
from typing import Any

from keyhop.core.ids import SaeId, key_id_text
from keyhop.core.keys import KeyMaterial
from keyhop.service.etsi020.calls import Answer
from keyhop.service.etsi020.problems import Problem
from keyhop.service.etsi020.transfer import Saes, Transfer
from keyhop.testing.kms import VirtualKms

ALICE, ANNE, BOB, BEN = map(SaeId, ("alice", "anne", "bob", "ben"))
CALLBACK = "https://near/kmapi/v1/ext_keys/ack"


def transfer(*numbers: int, targets: tuple[SaeId, ...] = (BOB,), optional: dict[str, Any] | None = None) -> Transfer:
    ids = tuple(bytes([n]) * 16 for n in numbers)
    return Transfer(Saes(ALICE, targets), ids, tuple(KeyMaterial(bytes([n]) * 32) for n in numbers), optional)


def container(*numbers: int, **more: Any) -> bytes:
    keys = [
        {"key_id": key_id_text(bytes([n]) * 16), "value": base64.b64encode(bytes([n]) * 32).decode()} for n in numbers
    ]
    body = {"keys": keys, "initiator_sae_id": "alice", "target_sae_ids": ["bob"], "ack_callback_url": CALLBACK}
    return json.dumps({name: value for name, value in (body | more).items() if value is not None}).encode()


def void(*numbers: int, **more: Any) -> bytes:
    body = {
        "key_ids": [key_id_text(bytes([n]) * 16) for n in numbers],
        "initiator_sae_id": "alice",
        "target_sae_ids": ["bob"],
        "ack_callback_url": CALLBACK,
    }
    return json.dumps({name: value for name, value in (body | more).items() if value is not None}).encode()


def problem(answers: list[Answer | Problem]) -> Problem:
    (answer,) = answers
    assert isinstance(answer, Problem), answer
    return answer


def ok(answers: list[Answer | Problem]) -> Any:
    (answer,) = answers
    assert isinstance(answer, Answer), answer
    return json.loads(answer.body) if answer.body else answer.status


def fates(kms: VirtualKms, way: str) -> list[str]:
    memory = kms.interchange.sent if way == "sent" else kms.interchange.received
    return [memory[key_id].fate for key_id in memory._keys]


def acks(number: int, status: str, *targets: str) -> bytes:
    container = [{"key_id": key_id_text(bytes([number]) * 16)}]
    ack = {"key_id_container": container, "ack_status": status, "initiator_sae_id": "alice", "target_sae_ids": targets}
    return json.dumps([ack]).encode()
