"""POST ext_keys and its acknowledgements."""

import base64

from keyhop.testing.conformance.checks import NotApplicable, NotConforming, expect
from keyhop.testing.conformance.etsi020.target import (
    EXT_KEYS,
    MAX_ACKS,
    STATUSES,
    SUITE,
    Etsi020Target,
    Handed,
    answered,
    problem,
)
from keyhop.testing.conformance.https import member


@SUITE.check("POST ext_keys", "code 202, and an acknowledgement `relayed` at the callback")
def a_key_is_accepted_and_acknowledged(target: Etsi020Target) -> None:
    target.hand_over(Handed())


@SUITE.check("POST ext_keys", "every key of a request is acknowledged")
def several_keys_are_acknowledged(target: Etsi020Target) -> None:
    target.hand_over(*(Handed() for _ in range(5)))


@SUITE.check("POST ext_keys/ack", "a top-level array of at most 1,024, JSON, to the path that was given")
def acknowledgements_are_an_array(target: Etsi020Target) -> None:
    since = len(target.callbacks.arrived)
    target.hand_over(Handed())
    path = "/" + target.callbacks.url.split("/", 3)[3]
    for acknowledged in target.callbacks.arrived[since:]:
        expect(acknowledged.content_type == "application/json", f"the content type {acknowledged.content_type}")
        expect(acknowledged.path == path, f"a POST to {acknowledged.path[:100]}")
        expect(isinstance(acknowledged.body, list), "a body that is no array")
        expect(1 <= len(acknowledged.body) <= MAX_ACKS, f"{len(acknowledged.body)} acknowledgements in one body")


@SUITE.check(
    "POST ext_keys/ack", "key_id_container, ack_status, initiator_sae_id and target_sae_ids, as they were given"
)
def acknowledgements_name_keys_and_SAEs(target: Etsi020Target) -> None:  # noqa: N802
    since = len(target.callbacks.arrived)
    key = Handed()
    target.hand_over(key)
    for acknowledged in target.callbacks.arrived[since:]:
        for ack in acknowledged.body:
            status = member(ack, "ack_status", str, "an acknowledgement")
            expect(status in STATUSES, f"ack_status {status[:60]!r}")
            expect(member(ack, "initiator_sae_id", str, "an acknowledgement") == target.initiator, "another initiator")
            targets = member(ack, "target_sae_ids", list, "an acknowledgement")
            expect(targets == [target.target], "other target_sae_ids")
            for item in member(ack, "key_id_container", list, "an acknowledgement"):
                member(item, "key_id", str, "key_id_container")


@SUITE.check("POST ext_keys", "the same request again has the same outcome: 202, and `relayed` once more")
def a_retry_has_the_same_outcome(target: Etsi020Target) -> None:
    key = Handed()
    target.hand_over(key)
    target.hand_over(key)


@SUITE.check("POST ext_keys", "code 400 for a known key_id with another value, and the first value stays")
def another_value_under_a_known_ID_is_refused(target: Etsi020Target) -> None:  # noqa: N802
    key = Handed()
    target.hand_over(key)
    problem(target.kms.post(EXT_KEYS, target.container(Handed(key.id))), 400)
    if target.slave is not None:
        _expect_value(target, key)


@SUITE.check("POST ext_keys", "the target SAE gets the key that was handed over, under its key_id, after `relayed`")
def the_target_gets_the_key(target: Etsi020Target) -> None:
    key = Handed()
    if target.slave is None:
        target.fetch(key)
    target.hand_over(key)
    _expect_value(target, key)


@SUITE.check("POST ext_keys", "with synchronous_mode among the capabilities: 200 without a callback, when relayed")
def synchronous_requests_are_served_if_announced(target: Etsi020Target) -> None:
    if not target.synchronous():
        raise NotApplicable("the server does not announce synchronous_mode")
    reply = target.kms.post(EXT_KEYS, target.container(Handed(), callback=False))
    expect(reply.status == 200, answered(reply))


@SUITE.check("POST ext_keys", "without synchronous_mode: an error, not 200 or 202, without a callback")
def synchronous_requests_are_refused_if_not_announced(target: Etsi020Target) -> None:
    if target.synchronous():
        raise NotApplicable("the server announces synchronous_mode")
    problem(target.kms.post(EXT_KEYS, target.container(Handed(), callback=False)), 400, 503)


@SUITE.check("POST ext_keys", "unknown optional extensions do no harm, of the request and of a key")
def unknown_optional_extensions_are_accepted(target: Etsi020Target) -> None:
    key = Handed()
    since = len(target.callbacks.arrived)
    container = target.container(key, extension_optional={"E0_conformance": {"x": [1, None]}})
    container["keys"][0]["extension"] = {"E0_conformance": "y"}
    reply = target.kms.post(EXT_KEYS, container)
    expect(reply.status == 202, answered(reply))
    expect(target.acknowledged(since, key.id)[key.id] == "relayed", "it was not relayed")


def _expect_value(target: Etsi020Target, key: Handed) -> None:
    reply = target.fetch(key)
    expect(reply.status == 200, f"{answered(reply)} to dec_keys")
    keys = member(reply.document(), "keys", list)
    found = [item for item in keys if str(item.get("key_ID")).lower() == key.id]
    if not found or base64.b64decode(found[0].get("key", "")) != key.value:
        raise NotConforming("another key, or none, at the target SAE")
