"""POST ext_keys/void."""

from keyhop.testing.conformance.checks import NotApplicable, expect
from keyhop.testing.conformance.etsi020.target import EXT_KEYS, SUITE, VOID, Etsi020Target, Handed, answered, problem


@SUITE.check("POST ext_keys/void", "code 202, and an acknowledgement `voided`, for a key that nobody has fetched")
def a_key_is_voided(target: Etsi020Target) -> None:
    key = Handed()
    target.hand_over(key)
    _expect_void(target, key.id, "voided")


@SUITE.check("POST ext_keys/void", "the target SAE gets no voided key")
def a_voided_key_is_refused_to_applications(target: Etsi020Target) -> None:
    key = Handed()
    if target.slave is None:
        target.fetch(key)
    target.hand_over(key)
    _expect_void(target, key.id, "voided")
    reply = target.fetch(key)
    expect(reply.status in (400, 401), f"HTTP {reply.status} to dec_keys")


@SUITE.check("POST ext_keys/void", "an acknowledgement `failed to void` for a key that its target has fetched")
def a_delivered_key_cannot_be_voided(target: Etsi020Target) -> None:
    key = Handed()
    if target.slave is None:
        target.fetch(key)
    target.hand_over(key)
    reply = target.fetch(key)
    expect(reply.status == 200, f"HTTP {reply.status} to dec_keys")
    _expect_void(target, key.id, "failed to void")


@SUITE.check("POST ext_keys/void", "an acknowledgement `key not present` for a key that was never handed over")
def an_unknown_key_is_not_present(target: Etsi020Target) -> None:
    _expect_void(target, Handed().id, "key not present")


@SUITE.check("POST ext_keys/void", "a second void has the same outcome")
def a_void_may_be_repeated(target: Etsi020Target) -> None:
    key = Handed()
    target.hand_over(key)
    _expect_void(target, key.id, "voided")
    _expect_void(target, key.id, "voided")


@SUITE.check("POST ext_keys", "a voided key does not come back: code 400 when it is handed over again", "recommended")
def a_voided_key_stays_void(target: Etsi020Target) -> None:
    key = Handed()
    target.hand_over(key)
    _expect_void(target, key.id, "voided")
    problem(target.kms.post(EXT_KEYS, target.container(key)), 400)


@SUITE.check("POST ext_keys/void", "code 400 without key_ids unless all_confirmation is true")
def a_void_of_everything_needs_confirmation(target: Etsi020Target) -> None:
    for confirmation in (None, False):
        problem(target.kms.post(VOID, target.void_container(all_confirmation=confirmation)), 400)


@SUITE.check("POST ext_keys/void", "without key_ids and with all_confirmation, all keys of these SAEs are voided")
def a_confirmed_void_takes_all_keys(target: Etsi020Target) -> None:
    keys = Handed(), Handed()
    target.hand_over(*keys)
    since = len(target.callbacks.arrived)
    reply = target.kms.post(VOID, target.void_container(all_confirmation=True))
    expect(reply.status == 202, answered(reply))
    found = target.acknowledged(since, *(key.id for key in keys))
    expect(set(found.values()) == {"voided"}, f"acknowledged as {', '.join(sorted(set(found.values())))}")


@SUITE.check("POST ext_keys/void", "with synchronous_mode: 200 without a callback, for a key that nobody has fetched")
def synchronous_voids_are_served_if_announced(target: Etsi020Target) -> None:
    if not target.synchronous():
        raise NotApplicable("the server does not announce synchronous_mode")
    key = Handed()
    target.hand_over(key)
    reply = target.kms.post(VOID, target.void_container(key.id, callback=False))
    expect(reply.status == 200, answered(reply))


@SUITE.check("POST ext_keys/void", "code 400 for a void_container without SAEs")
def a_void_without_SAEs_is_refused(target: Etsi020Target) -> None:  # noqa: N802
    problem(target.kms.post(VOID, target.void_container(Handed().id, initiator_sae_id=None)), 400)


def _expect_void(target: Etsi020Target, key_id: str, status: str) -> None:
    since = len(target.callbacks.arrived)
    reply = target.kms.post(VOID, target.void_container(key_id))
    expect(reply.status == 202, answered(reply))
    found = target.acknowledged(since, key_id)[key_id]
    expect(found == status, f"acknowledged as {found[:60]!r}")
