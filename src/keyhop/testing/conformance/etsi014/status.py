"""Clauses 5.1 and 6.1: Get status."""

from keyhop.testing.conformance.checks import expect
from keyhop.testing.conformance.etsi014.target import COUNTS, NAMES, SUITE, Etsi014Target, answered, keys_path
from keyhop.testing.conformance.https import member


@SUITE.check("6.1", "source_KME_ID, target_KME_ID, master_SAE_ID and slave_SAE_ID are strings")
def status_names_both_KMEs_and_SAEs(target: Etsi014Target) -> None:  # noqa: N802
    status = target.status()
    for name in NAMES:
        member(status, name, str, "the Status")


@SUITE.check("6.1", "the seven counts and sizes are integers, none below zero")
def status_has_all_counts(target: Etsi014Target) -> None:
    status = target.status()
    for name in COUNTS:
        value = member(status, name, int, "the Status")
        expect(value >= 0, f"{name} is {value}")


@SUITE.check("6.1", "status_extension, if there is one, is an object")
def status_extension_is_an_object(target: Etsi014Target) -> None:
    status = target.status()
    if status.get("status_extension") is not None:
        member(status, "status_extension", dict, "the Status")


@SUITE.check("6.1", "slave_SAE_ID is the SAE in the path")
def status_is_of_the_slave_in_the_path(target: Etsi014Target) -> None:
    found = target.status().get("slave_SAE_ID")
    expect(found == target.slave.identity.id, f"slave_SAE_ID {str(found)[:64]!r}")


@SUITE.check("6.1", "min_key_size ≤ key_size ≤ max_key_size, key_size a multiple of 8")
def key_sizes_fit_together(target: Etsi014Target) -> None:
    status = target.status()
    low, size, high = (member(status, name, int) for name in ("min_key_size", "key_size", "max_key_size"))
    expect(0 < low <= size <= high and size % 8 == 0, f"{low}, {size} and {high} bits")


@SUITE.check("6.1", "max_key_per_request is at least 1")
def a_request_may_have_a_key(target: Etsi014Target) -> None:
    most = member(target.status(), "max_key_per_request", int)
    expect(most >= 1, f"max_key_per_request is {most}")


@SUITE.check("6.1", "stored_key_count is at most max_key_count", "recommended")
def no_more_keys_are_stored_than_there_is_room_for(target: Etsi014Target) -> None:
    status = target.status()
    stored, most = member(status, "stored_key_count", int), member(status, "max_key_count", int)
    expect(stored <= most, f"{stored} of {most}")


@SUITE.check("6.1", "the slave's KME names the same two KMEs the other way round", "recommended")
def both_KMEs_agree_on_who_they_are(target: Etsi014Target) -> None:  # noqa: N802
    here = target.status()
    reply = target.slave.get(keys_path(target.master, "status"))
    expect(reply.status == 200, answered(reply))
    there = reply.document()
    ours = f"{here.get('source_KME_ID')} and {here.get('target_KME_ID')}"
    theirs = f"{there.get('target_KME_ID')} and {there.get('source_KME_ID')}"
    expect(ours == theirs, f"the master's KME says {ours}, the slave's {theirs}: as where two domains are joined")
