"""What is refused, and the problem documents (RFC 9457) that say so."""

from typing import Any

from keyhop.testing.conformance.checks import expect
from keyhop.testing.conformance.etsi020.target import ACK, EXT_KEYS, SUITE, TYPES, Etsi020Target, Handed, problem

_PROBLEM = "application/problem+json"


@SUITE.check("extensions", "code 503, the type unsupported-mandatory-extension, details that name it")
def an_unknown_mandatory_extension_is_refused(target: Etsi020Target) -> None:
    container = target.container(Handed(), extension_mandatory={"E0_conformance": 1})
    document = problem(target.kms.post(EXT_KEYS, container), 503, kind="unsupported-mandatory-extension")
    named = (document.get("details") or {}).get("unsupported_mandatory_extension", "")
    expect("E0_conformance" in named, "details.unsupported_mandatory_extension does not name it")


@SUITE.check("errors", "code 400, the type missing-parameters, for a container without keys or SAEs")
def missing_parameters_are_told(target: Etsi020Target) -> None:
    for name in ("keys", "initiator_sae_id", "target_sae_ids"):
        container = target.container(Handed())
        del container[name]
        problem(target.kms.post(EXT_KEYS, container), 400, kind="missing-parameters")


@SUITE.check("errors", "code 400 for a body that is not JSON")
def a_body_that_is_not_JSON_is_refused(target: Etsi020Target) -> None:  # noqa: N802
    problem(target.kms.ask("POST", EXT_KEYS, b"{keys: 1"), 400)


@SUITE.check("POST ext_keys", "code 400 for a key_id that is no UUID")
def a_key_ID_that_is_no_UUID_is_refused(target: Etsi020Target) -> None:  # noqa: N802
    problem(target.kms.post(EXT_KEYS, target.container(Handed("not-a-uuid"))), 400)


@SUITE.check("POST ext_keys", "code 400 for a value that is no base64")
def a_value_that_is_no_base64_is_refused(target: Etsi020Target) -> None:
    container = target.container(Handed())
    container["keys"][0]["value"] = "*" * 44
    problem(target.kms.post(EXT_KEYS, container), 400)


@SUITE.check("POST ext_keys", "code 400 for an SAE ID of more than 64 characters, and for an empty one")
def SAE_IDs_have_1_to_64_characters(target: Etsi020Target) -> None:  # noqa: N802
    for name in ("s" * 65, ""):
        problem(target.kms.post(EXT_KEYS, target.container(Handed(), target_sae_ids=[name])), 400)


@SUITE.check("POST ext_keys", "code 400, the type key-routing-error, for a target that nobody knows")
def an_unknown_target_is_a_routing_error(target: Etsi020Target) -> None:
    container = target.container(Handed(), target_sae_ids=["conformance-nobody"])
    problem(target.kms.post(EXT_KEYS, container), 400, kind="key-routing-error")


@SUITE.check("POST ext_keys", "code 400, the type key-routing-error, for a key that would go back where it came from")
def a_key_that_would_go_back_is_a_routing_error(target: Etsi020Target) -> None:
    container = target.container(Handed(), initiator_sae_id=target.target, target_sae_ids=[target.initiator])
    problem(target.kms.post(EXT_KEYS, container), 400, kind="key-routing-error")


@SUITE.check("POST ext_keys", "code 400 for a callback that is not https, or longer than 1,024 characters")
def a_malformed_callback_is_refused(target: Etsi020Target) -> None:
    for url in (target.callbacks.url.replace("https:", "http:"), target.callbacks.url + "x" * 1024):
        problem(target.kms.post(EXT_KEYS, target.container(Handed(), ack_callback_url=url)), 400)


@SUITE.check(
    "POST ext_keys", "a callback to a host that is not the caller's is refused: code 400 or 401", "recommended"
)
def a_callback_to_somebody_else_is_refused(target: Etsi020Target) -> None:
    container = target.container(Handed(), ack_callback_url="https://203.0.113.1/kmapi/v1/ext_keys/ack")
    problem(target.kms.post(EXT_KEYS, container), 400, 401)


@SUITE.check("POST ext_keys/ack", "code 400 for an acknowledgement that is no array")
def an_acknowledgement_that_is_no_array_is_refused(target: Etsi020Target) -> None:
    problem(target.kms.post(ACK, _ack(target)[0]), 400)


@SUITE.check("POST ext_keys/ack", "code 400 for an acknowledgement of a key that was never handed over", "recommended")
def an_acknowledgement_of_an_unknown_key_is_refused(target: Etsi020Target) -> None:
    problem(target.kms.post(ACK, _ack(target)), 400)


@SUITE.check("POST ext_keys/ack", "code 400 for an ack_status that the standard does not have")
def an_unknown_status_is_refused(target: Etsi020Target) -> None:
    (ack,) = _ack(target)
    problem(target.kms.post(ACK, [ack | {"ack_status": "lost"}]), 400)


@SUITE.check("errors", f"problem documents are {_PROBLEM}, with a type and a title", "recommended")
def problem_documents_say_what_they_are(target: Etsi020Target) -> None:
    reply = target.kms.post(EXT_KEYS, {})
    document = problem(reply, 400)
    expect(reply.content_type == _PROBLEM, f"the content type {reply.content_type}")
    expect(str(document["type"]).startswith(TYPES), f"the type {str(document['type'])[:100]}")
    expect(isinstance(document.get("title"), str), "no title")


def _ack(target: Etsi020Target) -> list[dict[str, Any]]:
    keys = [{"key_id": Handed().id}]
    saes = {"initiator_sae_id": target.target, "target_sae_ids": [target.initiator]}
    return [{"key_id_container": keys, "ack_status": "relayed", **saes}]
