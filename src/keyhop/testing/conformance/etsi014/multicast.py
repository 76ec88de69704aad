"""Additional slaves: each may fetch the same key once, and the request fails if one of them cannot be served."""

from keyhop.testing.conformance.checks import NotApplicable, expect
from keyhop.testing.conformance.etsi014.target import SUITE, Etsi014Target, container, refused
from keyhop.testing.conformance.https import member


@SUITE.check("6.2", "an additional slave and the slave in the path get the same key, each once")
def additional_slaves_get_the_same_key(target: Etsi014Target) -> None:
    third = target.third()
    _needs_multicast(target)
    reply = target.ask_keys({"additional_slave_SAE_IDs": [third.identity.id]})
    (key,) = container(reply)
    for party in (target.slave, third):
        (found,) = container(target.fetch(key.id, party=party))
        expect(found.secret == key.secret, f"{party.identity.id} has other key bytes")
        refused(target.fetch(key.id, party=party), 400, 401)


@SUITE.check("6.2", "code 400 or 401 when an additional slave is not known; no key is given")
def an_unknown_additional_slave_fails_the_request(target: Etsi014Target) -> None:
    refused(target.ask_keys({"additional_slave_SAE_IDs": ["conformance-nobody"]}), 400, 401)


@SUITE.check("6.1", "code 400 for more additional slaves than max_SAE_ID_count")
def too_many_additional_slaves_are_refused(target: Etsi014Target) -> None:
    most = member(target.status(), "max_SAE_ID_count", int)
    if most > 1000:
        raise NotApplicable(f"max_SAE_ID_count is {most}")
    refused(target.ask_keys({"additional_slave_SAE_IDs": [f"conformance-{n}" for n in range(most + 1)]}), 400)


def _needs_multicast(target: Etsi014Target) -> None:
    if member(target.status(), "max_SAE_ID_count", int) == 0:
        raise NotApplicable("max_SAE_ID_count is 0: this KME has no multicast")
