"""What SAEs may have: which master may share keys with which slave, and what holds for the two.

    pair        PairPolicy: everything that holds for one master and one slave
    rules       Rule, Allow, SaeClass: whom a rule is for, and which of two rules comes first
    policies    Policy, what node.toml says; Policies, which answers for each pair, and remembers
    sae_pairs   SaePairs: which pairs there are at all
    relaying    how streams are to be relayed, so that all pairs may have keys of them

What enters: a `Policy`, when the node starts and whenever its file is read again. What leaves: a `PairPolicy` for two
SAEs, or the refusal that they get. Nothing here knows of streams, links or time: others enforce what it says.

How much SAEs may ask for in a time is `service.limits`.
"""

from keyhop.service.policy.pair import Hybrid, PairPolicy, WhenDry
from keyhop.service.policy.policies import Policies, Policy
from keyhop.service.policy.relaying import stream_terms
from keyhop.service.policy.rules import ANYONE, Allow, Rule, SaeClass, SaeClasses
from keyhop.service.policy.sae_pairs import SaePairs, sae_pairs

__all__ = [
    "ANYONE",
    "Allow",
    "Hybrid",
    "PairPolicy",
    "Policies",
    "Policy",
    "Rule",
    "SaeClass",
    "SaeClasses",
    "SaePairs",
    "WhenDry",
    "sae_pairs",
    "stream_terms",
]
