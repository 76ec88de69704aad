"""`[[policy.rules]]` and `[[policy.classes]]`: what is taken, and what their errors say."""

from pathlib import Path

import pytest
from node_text import ALICE

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import SaeId
from keyhop.node.config import parse_config
from keyhop.service.policy import PairPolicy, Policies, Policy, Rule, SaeClass

HEAD = (
    ALICE
    + """[[kmes]]
id = "bob"
peer_address = "bob.example:1"
[[saes]]
id = "alicesae"
kme = "alice"
[[saes]]
id = "bobsae"
kme = "bob"
[policy]
wait_s = 3
key_lifetime_s = 600
"""
)
CLASS = '[[policy.classes]]\nname = "encryptors"\nsaes = ["alicesae", "enc-*"]\n'


def read(text: str) -> Policy:
    return parse_config(HEAD + text, Path("/etc/keyhop")).policy.policy()


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as failure:
        read(text)
    return failure.value


def test_rules_and_classes_are_taken_as_written() -> None:
    policy = read(
        CLASS
        + """
[[policy.allow]]
master = "encryptors"
[[policy.rules]]
priority = 2
[[policy.rules]]
master = "encryptors"
slave = "bobsae"
sources = ["bb84", "kme"]
direct_only = true
key_lifetime_s = 60
"""
    )
    assert policy.classes == (SaeClass("encryptors", ("alicesae", "enc-*")),)
    assert policy.rules == (
        Rule("*", "*", {"priority": 2}),
        Rule(
            "encryptors",
            "bobsae",
            {"sources": frozenset({"bb84", "kme"}), "direct_only": True, "key_lifetime_s": 60.0},
        ),
    )
    assert Policies(policy).pair(SaeId("enc-9"), SaeId("bobsae")).priority == 2


def test_what_goes_together_is_given_together() -> None:
    policy = read("""
[[policy.rules]]
max_size_bits = 512
[[policy.rules]]
relay = "secret-shared"
min_disjoint_paths = 3
[[policy.rules]]
when_dry = "refuse"
[[policy.rules]]
wait_s = 9
[[policy.rules]]
when_dry = "expand"
""")
    assert [rule.gives for rule in policy.rules] == [
        {"default_size_bits": 256, "min_size_bits": 64, "max_size_bits": 512},
        {"relay": "secret-shared", "min_disjoint_paths": 3, "relay_threshold": None},
        {"when_dry": "refuse", "wait_s": 0.0},
        {"when_dry": "wait", "wait_s": 9.0},
        {"when_dry": "expand", "wait_s": 3.0},
    ]
    assert policy.base == PairPolicy(wait_s=3.0)
    assert (policy.has_expand, policy.has_hybrid) == (True, False)
    assert read(rule('hybrid = "xor"')).has_hybrid
    assert not read(rule('hybrid = "none"')).has_hybrid


def rule(text: str) -> str:
    return f"[[policy.rules]]\n{text}\n"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (rule(""), "[[policy.rules]] number 1 says nothing", "give one of: default_size_bits, min_size_bits"),
        (rule('master = "alicesea"\npriority = 1'), 'number 1 names the SAE or class "alicesea"', '"alicesae"?'),
        (rule('slave = "banks"\npriority = 1'), 'names the SAE or class "banks"', "there are: alicesae, bobsae"),
        (rule("priority = 8"), "priority = 8: shall be a whole number from 0 to 7", "7 comes first"),
        (rule("max_size_bits = 128"), "comes to min_size_bits 64, default_size_bits 256 and max_size_bits 128", "as"),
        (rule("key_lifetime_s = 601"), "key_lifetime_s = 601, when bytes are erased after 600 s", "[policy] key_life"),
        (rule('when_dry = "refuse"\nwait_s = 1'), 'wait_s beside when_dry = "refuse"', "give one of them"),
        (rule('when_dry = "weit"'), 'when_dry = "weit": shall be "wait" or "refuse" or "expand"', 'you mean "wait"?'),
        (rule('when_dry = "expand"\nhybrid = "xor"'), 'hybrid beside when_dry = "expand"', "give one of them"),
        (rule('when_dry = "expand"\nsources = ["rate"]'), 'and sources without "kme"', 'add "kme"'),
        (rule('sources = ["bb48"]'), 'the source "bb48", which makes no keys', 'did you mean "bb84"?'),
        (rule('sources = ["xyz"]'), 'the source "xyz"', "the sources are: rate, bb84"),
        (rule("sources = []"), "sources = []: shall be a list of length from 1 to 16", "made the bytes"),
        (rule('relay = "secret-shared"'), 'relay = "secret-shared" over one path', "min_disjoint_paths = 2"),
        (rule("min_disjoint_paths = 2"), 'min_disjoint_paths without relay = "secret-shared"', "shares"),
        (rule("relay_threshold = 2"), 'relay_threshold without relay = "secret-shared"', "shares"),
        (
            rule('relay = "secret-shared"\nmin_disjoint_paths = 2\nrelay_threshold = 3'),
            "relay_threshold = 3 of min_disjoint_paths = 2",
            "k shares out of n",
        ),
        (rule('direct_only = true\nrelay = "hop-by-hop"'), "relay beside direct_only", "give one of them"),
        (CLASS + CLASS, '[[policy.classes]] "encryptors" stands there 2 times', "put them into one"),
        (CLASS.replace("encryptors", "bobsae"), '"bobsae" means an SAE already', "choose another name"),
        (CLASS.replace('"encryptors"', '"*"'), '"*" means anyone already', "choose another name"),
        (CLASS.replace('"alicesae"', '"alicesea"'), '"encryptors" names the SAE "alicesea"', '"alicesae"?'),
        (CLASS.replace('["alicesae", "enc-*"]', "[]"), "saes = []: shall be a list of length from 1", "IDs"),
    ],
)
def test_what_cannot_be_meant_is_named(text: str, message: str, hint: str) -> None:
    failure = refusal(text)
    assert message in failure.message
    assert hint in (failure.hint or "")


def test_relayed_bytes_are_one_source_however_they_came() -> None:
    (given,) = read(rule('sources = ["relay", "rate"]')).rules
    assert given.gives["sources"] == {
        "rate",
        "relay, hop-by-hop",
        "relay, xor-at-destination",
        "relay, secret-shared",
    }
