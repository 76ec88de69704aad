"""Clauses 5.3 and 6.4: what a slave gets, once, and what nobody else gets."""

from uuid import uuid4

from keyhop.testing.conformance.checks import expect
from keyhop.testing.conformance.etsi014.target import (
    SUITE,
    Etsi014Target,
    Key,
    container,
    keys_path,
    refused,
)
from keyhop.testing.conformance.https import Reply, member

NOT_FOUND = "one or more keys specified are not found on KME"


@SUITE.check("5.3", "GET with a key_ID gives the slave the master's key")
def GET_gives_the_same_key(target: Etsi014Target) -> None:  # noqa: N802
    (key,) = _one(target)
    reply = target.slave.get(f"{keys_path(target.master, 'dec_keys')}?key_ID={key.id}")
    _expect_same(container(reply), [key])


@SUITE.check("5.3", "POST of several key_IDs gives the slave all of those keys")
def POST_gives_the_same_keys(target: Etsi014Target) -> None:  # noqa: N802
    most = member(target.status(), "max_key_per_request", int)
    keys = target.new_keys(max(1, min(3, most)))
    _expect_same(container(target.fetch(*(key.id for key in keys))), keys)


@SUITE.check("5.3", "keys may be fetched in another order than they were made in")
def keys_are_found_by_ID_and_not_by_order(target: Etsi014Target) -> None:  # noqa: N802
    first, second = _one(target), _one(target)
    _expect_same(container(target.fetch(second[0].id)), second)
    _expect_same(container(target.fetch(first[0].id)), first)


@SUITE.check("5.3", "a key that was delivered is not found any more: code 400 in the standard's words")
def a_key_is_delivered_once(target: Etsi014Target) -> None:
    (key,) = _one(target)
    _expect_same(container(target.fetch(key.id)), [key])
    _expect_not_found(target.fetch(key.id))


@SUITE.check("5.3", "an unknown key_ID is not found: code 400 in the standard's words")
def an_unknown_key_is_not_found(target: Etsi014Target) -> None:
    _expect_not_found(target.fetch(str(uuid4())))


@SUITE.check("5.3", "a key_ID that is not a UUID is refused with code 400")
def a_malformed_key_ID_is_refused(target: Etsi014Target) -> None:  # noqa: N802
    refused(target.fetch("not-a-uuid"), 400)


@SUITE.check("5.3", "without any key_ID there is code 400")
def no_key_ID_is_refused(target: Etsi014Target) -> None:  # noqa: N802
    refused(target.slave.post(keys_path(target.master, "dec_keys"), {}), 400)


@SUITE.check("5.3", "with a known and an unknown key_ID the whole request fails", "recommended")
def all_keys_or_none(target: Etsi014Target) -> None:
    (key,) = _one(target)
    _expect_not_found(target.fetch(key.id, str(uuid4())))


@SUITE.check("5.3", "a request that failed consumed none of its keys", "recommended")
def a_failed_request_costs_no_key(target: Etsi014Target) -> None:
    (key,) = _one(target)
    target.fetch(key.id, str(uuid4()))
    _expect_same(container(target.fetch(key.id)), [key])


@SUITE.check("5.3", "the master gets no key as if it were the slave: code 400 or 401")
def the_master_cannot_fetch_its_own_key(target: Etsi014Target) -> None:
    (key,) = _one(target)
    refused(target.fetch(key.id, party=target.master, master=target.slave), 400, 401)


@SUITE.check("5.3", "an SAE for which the key was not requested gets code 401")
def a_stranger_is_unauthorised(target: Etsi014Target) -> None:
    stranger = target.third()
    (key,) = _one(target)
    refused(target.fetch(key.id, party=stranger), 401)


@SUITE.check("5.3", "a stranger's attempt costs the slave nothing")
def a_stranger_cannot_spend_a_key(target: Etsi014Target) -> None:
    stranger = target.third()
    (key,) = _one(target)
    target.fetch(key.id, party=stranger)
    _expect_same(container(target.fetch(key.id)), [key])


@SUITE.check("5.3", "another master in the path gives no key: code 400 or 401")
def the_master_in_the_path_matters(target: Etsi014Target) -> None:
    (key,) = _one(target)
    refused(target.fetch(key.id, master=target.third()), 400, 401)


@SUITE.check("5.3", "GET without a key_ID, or with two, is refused with code 400", "recommended")
def GET_takes_exactly_one_key_ID(target: Etsi014Target) -> None:  # noqa: N802
    path = keys_path(target.master, "dec_keys")
    refused(target.slave.get(path), 400)
    (first,), (second,) = _one(target), _one(target)
    refused(target.slave.get(f"{path}?key_ID={first.id}&key_ID={second.id}"), 400)


def _one(target: Etsi014Target) -> list[Key]:
    return target.new_keys(1)


def _expect_same(found: list[Key], wanted: list[Key]) -> None:
    ids, wanted_ids = {key.id.lower() for key in found}, {key.id.lower() for key in wanted}
    expect(ids == wanted_ids, f"{len(found)} keys with other IDs than those asked for")
    secrets = {key.id.lower(): key.secret for key in found}
    expect(all(secrets[key.id.lower()] == key.secret for key in wanted), "other key bytes than the master's")


def _expect_not_found(reply: Reply) -> None:
    refused(reply, 400, message=NOT_FOUND)
