"""What keys say of how they were made, held against the policies of their slaves: nothing is expanded, and nothing is
left out of what was to be combined, without both ends knowing it."""

from collections.abc import Iterable, Mapping
from typing import Any

from keyhop.core.combiners import KDF, XOR, Combiner
from keyhop.core.ids import KmeId, SaeId, each_id
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys, Mark
from keyhop.testing.history import record_name
from keyhop.testing.violation import Violation

COMBINERS: dict[str, Combiner] = {"xor": XOR, "kdf": KDF}


class Marks:
    """Of one network, whose rules each name a master and a slave. Every method raises Violation."""

    def __init__(self, home: Mapping[SaeId, KmeId]) -> None:
        self._home = home
        self._told: dict[bytes, Mark | None] = {}
        """What masters were told, by `record_name`."""

    def master_got(self, request: GetKey, keys: Keys, policy: Policy) -> None:
        """enc_keys was answered; `policy` is what held when it was asked."""
        master, slaves = request.master, (request.slave, *request.additional_slaves)
        given = [given_to(policy, master, slave) for slave in slaves]
        leaves = any(self._home[slave] != self._home[master] for slave in slaves)
        wanted = {COMBINERS[each["hybrid"]] for each in given if leaves and "hybrid" in each}
        for run in keys.runs:
            if run.mark == "expanded":
                if given[0].get("when_dry") != "expand" or len(slaves) > 1 or wanted:
                    raise Violation(0, f"{master} gets expanded keys, which its policy does not allow")
            elif {run.mark} - {None} != wanted:
                raise Violation(0, f"{master} gets keys made by {run.mark}, its policy wants {sorted(wanted)}")
            for key_id in each_id(run.ids):
                self._told[record_name(master, key_id)] = run.mark

    def slave_got(self, request: GetKeyWithIds, keys: Keys, *policies: Policy) -> None:
        """dec_keys was answered; `policies` have held meanwhile, and any of them may have counted. What is sent again
        is as it was."""
        given = [given_to(policy, request.master, request.slave) for policy in policies]
        leaves = self._home[request.slave] != self._home[request.master]
        for run in keys.runs:
            told = [self._told.get(record_name(request.master, key_id), run.mark) for key_id in each_id(run.ids)]
            if any(mark != run.mark for mark in told):
                raise Violation(0, f"{request.slave} gets keys made by {run.mark}, its master was told {told}")
            if keys.sent_before:
                continue
            if run.mark == "expanded" and all(each.get("when_dry") != "expand" for each in given):
                raise Violation(0, f"{request.slave} gets expanded keys, which its policy does not allow")
            if leaves and all("hybrid" in each and run.mark != COMBINERS[each["hybrid"]] for each in given):
                wanted = " or ".join(each["hybrid"] for each in given)
                raise Violation(0, f"{request.slave} gets keys made by {run.mark}, its policy wants {wanted}")


def marks_of(keys: Keys) -> Iterable[Mark]:
    """What its keys are beside bytes of links, and of KMEs."""
    return (run.mark for run in keys.runs if run.mark is not None)


def given_to(policy: Policy, master: SaeId, slave: SaeId) -> Mapping[str, Any]:
    """What rules say of a pair."""
    return next((rule.gives for rule in policy.rules if (rule.master, rule.slave) == (master, slave)), {})
