"""Why a master may or may not have one key for several slaves: which of their policies forbids what."""

import json
from pathlib import Path

import pytest
from policy_files import CONFIG, of_file

from keyhop.cli import main
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.pair import PairOptions
from keyhop.node.policy.check import check_kme
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.service.gauges import Rate
from keyhop.service.kme_options import KmeOptions
from keyhop.service.meters import Limit
from keyhop.service.policy import Allow, PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL, DAVE = map(KmeId, ("alice", "bob", "carol", "dave"))
A, A2, B, C, D, X = map(SaeId, ("a", "a2", "b", "c", "d", "x"))
LINE = ((ALICE, CAROL), (ALICE, DAVE), (BOB, DAVE))
"""bob is reached over dave only."""
FOREIGN = """\
[[foreign_saes]]
kme = "bob"
saes = ["x"]
"""


def rule(slave: str, text: str) -> str:
    return f'[[policy.rules]]\nmaster = "a"\nslave = "{slave}"\n{text}\n'


def of_several(text: str, *slaves: SaeId, master: SaeId = A) -> PolicyCheck:
    first, *others = slaves
    return of_file(FOREIGN + text, PolicyQuestion(master, first, additional_slaves=tuple(others)))


def against(check: PolicyCheck) -> list[tuple[SaeId | None, str, str]]:
    assert check.possible == all(step.verdict != "no" for step in check.steps)
    return [(step.slave, step.about, step.text) for step in check.steps if step.verdict == "no"]


@pytest.mark.parametrize(
    ("text", "slaves", "slave", "about", "why"),
    [
        (rule("b", "max_size_bits = 128\ndefault_size_bits = 128"), (A2, B), B, "size and number", "64 and 128"),
        (rule("c", "direct_only = true"), (B, C), C, "way", "and none leads to KME carol"),
        (rule("b", "direct_only = true"), (B, C), B, "links", "for b only keys of a link may be used"),
        (
            rule("b", 'sources = ["rate"]'),
            (B, A2),
            B,
            "source",
            "for b only these may make keys: rate; keys for several",
        ),
        (rule("b", "direct_only = true"), (B, X), B, "other domain", "and x is in one"),
        (rule("c", 'hybrid = "xor"'), (X, C), C, "hybrid", "for c it is combined with ML-KEM, and for x it cannot be"),
        (rule("b", 'hybrid = "xor"') + rule("c", 'hybrid = "kdf"'), (B, C), None, "hybrid", "xor for b, kdf for c"),
        ("[policy]\nmax_additional_slaves = 1\n", (B, C, A2), None, "slaves", "at most 1 additional ones"),
        ("", (B, C, B), None, "slaves", "named twice"),
        ('[[policy.allow]]\nslave = "b"', (B, C), C, "allowed", "no [[policy.allow]] names both"),
    ],
)
def test_whose_policy_forbids_what_is_told(
    text: str, slaves: tuple[SaeId, ...], slave: SaeId | None, about: str, why: str
) -> None:
    ((found, what, told),) = against(of_several(text, *slaves))
    assert (found, what) == (slave, about)
    assert why in told


def test_pads_have_to_be_of_what_all_may_have() -> None:
    rules = rule("b", 'sources = ["kme", "rate"]') + rule("c", 'sources = ["kme", "relay"]')
    ((slave, about, text),) = against(of_several(rules, B, C))
    assert (slave, about) == (None, "pads")
    assert "nothing to KME bob is of a source that all of them may have (b: kme; rate, c: kme; relay)" in text


def test_each_slave_and_the_request_are_told_of() -> None:
    check = of_several(rule("c", "wait_s = 0.5"), B, C)
    assert against(check) == []
    about = [(step.slave, step.about, step.verdict) for step in check.steps]
    assert about[:4] == [(B, what, "yes") for what in ("who", "allowed", "size and number", "way")]
    assert about[4:8] == [(C, what, "yes") for what in ("who", "allowed", "size and number", "way")]
    assert about[8:] == [(None, "slaves", "yes"), (None, "when dry", "note")]
    assert check.steps[-1].text == "a request waits 0.5 s at most, as holds for c"
    assert {field.slave for field in check.fields} == {B, C}


def test_the_kme_of_a_slave_leaves_it_to_that_of_the_master() -> None:
    check = of_several("", A2, A, master=B)
    assert check.possible
    assert check.steps[-1].text == "the KME of b makes one key for them, and goes by its own policy"


NOTHING: tuple[Rule, ...] = ()


@pytest.mark.parametrize(
    ("rules", "slaves"),
    [
        (NOTHING, (B, C)),
        (NOTHING, (B, C, D, A2)),
        ((Rule("a", "c", {"direct_only": True}),), (B, C)),
        ((Rule("a", "c", {"direct_only": True}),), (C, D)),
        ((Rule("a", "b", {"relay": "secret-shared", "min_disjoint_paths": 2}),), (B, C)),
        ((Rule("a", "d", {"sources": frozenset({"virtual"})}),), (C, D)),
        ((Rule("a", "d", {"sources": frozenset({"virtual", "kme"})}),), (C, D)),
        ((Rule("a", "d", {"sources": frozenset({"virtual", "kme"})}),), (B, D)),
        ((Rule("a", "d", {"hybrid": "xor"}),), (C, D)),
        ((Rule("a", "d", {"hybrid": "xor"}), Rule("a", "c", {"hybrid": "kdf"})), (C, D)),
        ((Rule("a", "d", {"max_keys_per_request": 2}),), (C, D)),
        ((Rule("a", "d", {"max_size_bits": 128, "default_size_bits": 128}),), (C, D)),
        ((Rule("a", "d", {"max_size_bits": 128, "default_size_bits": 128}),), (D, C)),
    ],
)
def test_what_is_told_of_a_kme_that_runs_is_what_happens(rules: tuple[Rule, ...], slaves: tuple[SaeId, ...]) -> None:
    homes = {A: ALICE, A2: ALICE, B: BOB, C: CAROL, D: DAVE}
    policy = Policy(PairPolicy(), rules=rules)
    net = VirtualNetwork(homes, 1, policy=policy, links=LINE, feeder=FeederOptions("on-demand"))
    net.settle()
    net.produce(32)
    net.settle()
    net.pass_time(2.0)
    first, *others = slaves
    links = [(CAROL, "virtual"), (DAVE, "virtual")]
    question = PolicyQuestion(A, first, number=3, additional_slaves=tuple(others))
    check = check_kme(net.kmes[ALICE].kme, ALICE, links, question)
    answers = net.get_key(ALICE, GetKey(A, first, number=3, additional_slaves=tuple(others)))
    net.settle()
    net.pass_time(3.0)
    (answer,) = answers
    assert isinstance(answer, Keys) == check.possible, (answer, against(check))


def test_limits_and_kmes_that_are_away_are_told() -> None:
    policy = Policy(PairPolicy(), allow=(Allow("*", "*"),))
    net = VirtualNetwork({A: ALICE, B: BOB, C: CAROL}, policy=policy, links=((ALICE, BOB), (ALICE, CAROL)))
    net.settle()
    net.produce(8)
    net.pass_time(1.0)
    kme, links = net.kmes[ALICE].kme, [(BOB, "virtual"), (CAROL, "virtual")]
    question = PolicyQuestion(A, B, additional_slaves=(C,))
    assert against(check_kme(kme, ALICE, links, question)) == []
    kme.reconfigure(KmeOptions(policy, PairOptions(), (Limit("a", bytes=Rate(1.0, 63)),)))
    ((slave, about, _),) = against(check_kme(kme, ALICE, links, question))  # 32 bytes for each
    assert (slave, about) == (None, "limits")
    kme.reconfigure(KmeOptions(policy, PairOptions()))
    kme.peers[CAROL].disconnect()
    assert against(check_kme(kme, ALICE, links, question)) == [(None, "copies", "KME carol is not connected")]


def test_the_command_names_the_slave_that_each_line_is_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG + FOREIGN + rule("b", "direct_only = true"))
    command = ["policy", "check", "--config", str(path), "--master", "a", "--slave", "b", "--slave", "c"]
    with pytest.raises(SystemExit) as end:
        main(command)
    out = capsys.readouterr().out
    assert end.value.code == 1
    assert out.startswith("slave\tstep\t\twhat was found\nb\twho\tyes\ta is served here, b at KME bob\n")
    assert "b\tlinks\tNO\tfor b only keys of a link may be used (direct_only), and none leads to c" in out
    assert (
        "\tpriority\t4\t[policy]\nb\tdirect_only\ttrue\t[[policy.rules]] number 1 (a → b)\nc\tdirect_only\tfalse" in out
    )
    assert out.endswith("a may not have such a key (links of b), to share with b, c\n")
    with pytest.raises(SystemExit):
        main([*command, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["slave"], answer["additional_slaves"]) == ("b", ["c"])
