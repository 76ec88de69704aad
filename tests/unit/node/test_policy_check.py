"""Why two SAEs may or may not have a key: of a configuration, of a KME that runs, and on the command line."""

import json
from pathlib import Path

import pytest
from policy_files import CONFIG, of_file

from keyhop.cli import main
from keyhop.core.errors import BadRequest, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.pair import PairOptions
from keyhop.node.policy.check import check_kme
from keyhop.node.policy.state import PolicyCheck, PolicyQuestion
from keyhop.service.gauges import Rate
from keyhop.service.kme_options import KmeOptions
from keyhop.service.meters import Limit
from keyhop.service.policy import PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, InsertKeys, Keys
from keyhop.testing.domains import ALICE as TWO_ALICE
from keyhop.testing.domains import EAST, WEST, TwoDomains
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
A, A2, B, C = SaeId("a"), SaeId("a2"), SaeId("b"), SaeId("c")
HOME = {A: ALICE, A2: ALICE, B: BOB}


def rule(text: str, master: str = "*", slave: str = "*") -> str:
    return f'[[policy.rules]]\nmaster = "{master}"\nslave = "{slave}"\n{text}\n'


def said(check: PolicyCheck, about: str) -> tuple[str, str]:
    (step,) = [step for step in check.steps if step.about == about]
    return step.verdict, step.text


@pytest.mark.parametrize(
    ("text", "question", "about", "why"),
    [
        ("", PolicyQuestion(A, SaeId("x")), "who", "x is in no [[saes]] of KME alice"),
        ("", PolicyQuestion(A, A), "allowed", "master and slave SAE shall be different: without [[policy.allow]]"),
        ('[[policy.allow]]\nmaster = "a"', PolicyQuestion(A2, B), "allowed", "no [[policy.allow]] names both"),
        (rule("max_size_bits = 256"), PolicyQuestion(A, B, 512), "size and number", "between 64 and 256"),
        (rule("max_keys_per_request = 1"), PolicyQuestion(A, B, None, 2), "size and number", "between 1 and 1"),
        (rule("direct_only = true"), PolicyQuestion(A, C), "way", "and none leads to KME carol"),
        (rule('sources = ["bb84"]'), PolicyQuestion(A, B), "sources", "allowed: bb84, and nothing to KME bob is"),
        (rule('sources = ["bb84"]'), PolicyQuestion(A, A2), "sources", "the KME would make the key, and only these"),
    ],
)
def test_what_is_against_it_is_told(text: str, question: PolicyQuestion, about: str, why: str) -> None:
    check = of_file(text, question)
    assert not check.possible
    verdict, found = said(check, about)
    assert verdict == "no"
    assert why in found
    assert [step.about for step in check.steps if step.verdict == "no"] == [about]


def test_what_speaks_for_it_is_told_too() -> None:
    text = '[[policy.allow]]\nslave = "c"\n[[policy.allow]]\nmaster = "a"\nslave = "b"\n'
    check = of_file(text + rule('sources = ["rate", "etsi014"]'), PolicyQuestion(A, B, 512, 3))
    assert check.possible
    assert said(check, "who") == ("yes", "a is served here, b at KME bob")
    assert said(check, "allowed") == ("yes", "[[policy.allow]] number 2 (a → b) names both")
    assert said(check, "size and number") == ("yes", "3 of 512 bits; allowed: 64 to 8192 bits, 1024 in a request")
    assert said(check, "way") == ("yes", "links to KME bob: rate")
    assert said(check, "sources") == ("yes", "allowed: etsi014; rate")
    assert said(check, "when dry") == ("note", "a request that finds no key waits 2 s at most")


def beside(check: PolicyCheck, about: str) -> tuple[str, str]:
    (step,) = [step for step in check.beside if step.about == about]
    return step.verdict, step.text


@pytest.mark.parametrize(
    ("text", "question", "verdict", "why"),
    [
        ("", PolicyQuestion(A, B), "yes", "keys of 64 to 8192 bits, 1024 in a request"),
        ("", PolicyQuestion(A, A2), "yes", "keys of 64 to 8192 bits, 1024 in a request"),
        ("", PolicyQuestion(B, A), "yes", "keys of 64 to 8192 bits, 1024 in a request"),
        (rule('hybrid = "xor"'), PolicyQuestion(A, B), "yes", "in a request, combined with ML-KEM on their way"),
        (rule('hybrid = "kdf"'), PolicyQuestion(A, B), "no", "with hybrid = kdf a key is made"),
        (rule('hybrid = "kdf"'), PolicyQuestion(A, A2), "yes", "keys of 64 to 8192 bits, 1024 in a request"),
        (rule('sources = ["rate"]'), PolicyQuestion(A, B), "no", "the sources of keys do not include sae"),
        (rule('sources = ["rate", "sae"]'), PolicyQuestion(A, B), "yes", "keys of 64 to 8192 bits"),
        (rule('sources = ["sae"]'), PolicyQuestion(A, B), "no", "the same is against it: sources"),
        (rule('sources = ["sae"]'), PolicyQuestion(A, A2), "yes", "keys of 64 to 8192 bits"),
        (rule('sources = ["rate"]'), PolicyQuestion(B, A), "no", "the sources of keys do not include sae"),
        (rule("direct_only = true"), PolicyQuestion(A, C), "no", "the same is against it: way"),
        ('[[policy.allow]]\nmaster = "a2"', PolicyQuestion(A, B), "no", "these SAEs may not share keys"),
    ],
)
def test_whether_a_master_may_bring_keys_is_told(text: str, question: PolicyQuestion, verdict: str, why: str) -> None:
    found, told = beside(of_file(text, question), "keyhop_insert")
    assert (found, why in told) == (verdict, True), told


def test_whether_a_master_may_void_keys_is_told_where_it_asks() -> None:
    told = ("yes", "keys that b has not fetched, whatever the policy is by then")
    assert beside(of_file("", PolicyQuestion(A, B)), "keyhop_void") == told
    assert beside(of_file('[[policy.allow]]\nmaster = "a2"', PolicyQuestion(A, B)), "keyhop_void") == told
    assert [step.about for step in of_file("", PolicyQuestion(B, A)).beside] == ["keyhop_insert"]
    for nobody in (PolicyQuestion(A, A), PolicyQuestion(A, SaeId("x")), PolicyQuestion(B, C)):
        assert of_file("", nobody).beside == []


def test_a_running_kme_brings_and_voids_only_what_the_other_one_can_answer_for() -> None:
    net = network(Rule("a2", "*", {"sources": frozenset({"virtual"})}))
    assert [beside(now(net, PolicyQuestion(A, B)), what)[0] for what in ("keyhop_insert", "keyhop_void")] == ["yes"] * 2
    net.kmes[ALICE].peers[BOB].disconnect()
    check = now(net, PolicyQuestion(A, B))
    assert beside(check, "keyhop_insert") == ("no", "KME bob is not connected")
    assert beside(check, "keyhop_void") == ("no", "KME bob is not connected, and only it knows what was fetched")
    assert "do not include sae" in beside(now(net, PolicyQuestion(A2, B)), "keyhop_insert")[1]


def test_what_is_told_of_bringing_keys_is_what_happens() -> None:
    net = network(Rule("a2", "*", {"sources": frozenset({"virtual"})}))
    net.produce(8)
    net.pass_time(1.0)
    for master in (A, A2):
        answers = net.insert_keys(ALICE, InsertKeys(master, B, KeyMaterial(bytes(32)), 32))
        net.settle()
        (answer,) = answers
        may = beside(now(net, PolicyQuestion(master, B)), "keyhop_insert")[0] == "yes"
        assert isinstance(answer, BadRequest) != may


def test_relayed_keys_and_keys_of_others() -> None:
    shared = rule('relay = "secret-shared"\nmin_disjoint_paths = 2')
    relayed = of_file(shared, PolicyQuestion(A, C))
    assert "keys are relayed, secret-shared in shares over at least 2 paths" in said(relayed, "way")[1]
    assert of_file(rule('sources = ["relay"]'), PolicyQuestion(A, C)).possible
    assert said(of_file("", PolicyQuestion(B, C)), "who")[0] == "note"
    assert said(of_file("", PolicyQuestion(A, A2)), "way")[1] == "both are served here: the KME makes the key itself"


def test_each_field_is_told_with_what_gives_it() -> None:
    text = "[policy]\nwait_s = 7\n" + rule("priority = 1") + rule("priority = 6", "a") + rule('when_dry = "refuse"')
    fields = {each.name: (each.value, each.given_by) for each in of_file(text, PolicyQuestion(A, B)).fields}
    assert fields["priority"] == ("6", "[[policy.rules]] number 2 (a → *)")
    assert fields["wait_s"] == ("0", "[[policy.rules]] number 3 (* → *)")
    assert fields["max_size_bits"] == ("8192", "[policy]")
    assert fields["sources"] == ("-", "[policy]")


def network(*rules: Rule) -> VirtualNetwork:
    net = VirtualNetwork(
        HOME,
        policy=Policy(PairPolicy(wait_s=0.2), rules=rules),
        options=PairOptions(reserved_bytes_per_pair=0),
    )
    net.settle()
    return net


def now(net: VirtualNetwork, question: PolicyQuestion, kme: KmeId = ALICE) -> PolicyCheck:
    other = BOB if kme == ALICE else ALICE
    return check_kme(net.kmes[kme].kme, kme, [(other, "virtual")], question)


def test_a_running_kme_tells_of_its_stock() -> None:
    net = network(Rule("a", "b", {"sources": frozenset({"virtual", "bb84"})}))
    assert said(now(net, PolicyQuestion(A, B)), "stock")[0] == "no"
    net.produce(8)
    net.pass_time(1.0)
    check = now(net, PolicyQuestion(A, B))
    assert check.possible
    keys = net.kmes[ALICE].peers[BOB].neighbour.leasing.entitled_units((A, B)) // 4
    _, text = said(check, "stock")
    assert said(check, "paths") == ("note", "alice → bob")
    assert f"direct stream: {keys} such keys for these SAEs, next bytes from virtual" in text
    assert said(now(net, PolicyQuestion(A, B, 8192, 1000)), "stock")[0] == "no"
    assert said(check, "limits") == ("yes", "none is set for these SAEs")


def test_where_nothing_is_kept_a_key_can_be_had_while_a_path_is_there() -> None:
    ends = {A: ALICE, B: BOB, C: KmeId("carol")}
    links = [(ALICE, KmeId("carol")), (BOB, KmeId("carol"))]
    kept = Policy(PairPolicy(), rules=(Rule("b", "*", {"when_dry": "refuse", "wait_s": 0.0}),))
    net = VirtualNetwork(ends, links=links, policy=kept, feeder=FeederOptions(buffering="on-demand"))
    net.settle()
    assert said(now(net, PolicyQuestion(A, B)), "stock")[0] == "no"
    for _ in range(3):
        net.produce(8)
        net.pass_time(1.0)
    check = now(net, PolicyQuestion(A, B))
    assert said(check, "stock") == (
        "yes",
        "relayed stream: 0 such keys for these SAEs; one that is asked for is relayed then",
    )
    assert said(now(net, PolicyQuestion(B, A), BOB), "stock")[0] == "no"
    answers = net.get_key(ALICE, GetKey(A, B))
    net.pass_time(1.0)
    assert isinstance(answers[0], Keys)


def test_a_secret_that_is_not_agreed_on_is_told() -> None:
    net = network(Rule("a", "b", {"hybrid": "kdf"}))
    net.produce(8)
    net.pass_time(1.0)
    verdict, text = said(now(net, PolicyQuestion(A, B)), "stock")
    assert verdict == "no"
    assert "no ML-KEM secret yet" in text


def test_what_is_next_in_the_stream_and_may_not_be_had_is_told() -> None:
    net = network(Rule("a", "b", {"sources": frozenset({"virtual"})}))
    net.produce(8, source="etsi014")
    net.pass_time(1.0)
    verdict, text = said(now(net, PolicyQuestion(A, B)), "stock")
    assert verdict == "no"
    assert "next bytes from etsi014, which the policy does not allow or are too old" in text
    assert said(now(net, PolicyQuestion(A2, B)), "stock")[0] == "yes"


def test_limits_are_told_and_asking_costs_nothing() -> None:
    net = network()
    net.produce(8)
    net.pass_time(1.0)
    limits = (Limit("a", bytes=Rate(1.0, 64)), Limit(("*", "b"), requests=Rate(1.0, 2)))
    net.kmes[ALICE].kme.reconfigure(KmeOptions(Policy(PairPolicy()), PairOptions(), limits))
    for _ in range(5):
        assert said(now(net, PolicyQuestion(A, B)), "limits") == (
            "yes",
            "SAE a: 1 bytes of key per second, 64 at once, 64 left; "
            "SAEs a and b: 1 requests per second, 2 at once, 2 left",
        )
    answers = net.get_key(ALICE, GetKey(A, B, size_bits=512))
    net.settle()
    assert isinstance(answers[0], Keys)
    verdict, text = said(now(net, PolicyQuestion(A, B)), "limits")
    assert verdict == "no"
    assert "the limit of SAE a is reached" in text
    assert not now(net, PolicyQuestion(A, B)).possible


def test_the_slaves_kme_tells_whether_keys_can_be_fetched() -> None:
    net = network()
    assert said(now(net, PolicyQuestion(A, B), BOB), "fetching")[0] == "yes"
    net.kmes[BOB].crash()
    assert said(now(net, PolicyQuestion(A, B), BOB), "fetching")[0] == "no"
    net.settle()
    assert said(now(net, PolicyQuestion(A, B), BOB), "fetching")[0] == "yes"


def ask(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["policy", "check", *arguments])
    captured = capsys.readouterr()
    return int(str(end.value.code)), captured.out, captured.err


def test_the_command_tells_it_and_ends_with_the_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG + rule("direct_only = true", "a", "c"))
    to = ["--config", str(path), "--master", "a", "--slave"]
    status, out, _ = ask([*to, "b"], capsys)
    assert status == 0
    assert "way\tyes\tlinks to KME bob: rate" in out
    assert out.endswith("KME alice, by its configuration: a may have such a key, to share with b\n")
    status, out, _ = ask([*to, "c"], capsys)
    assert status == 1
    assert "direct_only\ttrue\t[[policy.rules]] number 1 (a → c)" in out
    assert "keyhop_insert\tNO\tthe same is against it: way" in out
    assert out.endswith("a may not have such a key (way), to share with c\n")
    path.write_text(CONFIG + rule('sources = ["relay", "rate"]', "a", "c"))
    _, out, _ = ask([*to, "c"], capsys)
    assert "sources\trate; relay\t[[policy.rules]] number 1 (a → c)" in out
    assert "sources\tyes\tallowed: rate; relay" in out
    path.write_text(CONFIG + rule("direct_only = true", "a", "c"))
    status, out, _ = ask([*to, "c", "--json"], capsys)
    assert status == 1
    answer = json.loads(out)
    assert (answer["possible"], answer["live"], answer["kme"]) == (False, False, "alice")
    first = {"about": "who", "verdict": "yes", "text": "a is served here, c at KME carol", "slave": None}
    assert answer["steps"][0] == first
    status, _, err = ask(["--master", "a", "--slave", "b"], capsys)
    assert status == 2
    assert "give --url, the management address of a node, or --lab and --node" in err
    status, _, err = ask([*to, "b", "--url", "http://127.0.0.1:1"], capsys)
    assert status == 2
    assert "give either --config or a node that runs" in err


ABROAD = """
[[foreign_saes]]
kme = "bob"
saes = ["x*"]
[[foreign_saes]]
kme = "carol"
saes = ["y*"]
per_domain = true
"""
X, Y = SaeId("x1"), SaeId("y1")
DISJOINT = 'relay = "secret-shared"\nmin_disjoint_paths = 2'


@pytest.mark.parametrize(
    ("text", "question", "why"),
    [
        (rule("direct_only = true"), PolicyQuestion(A, X), "no link leads into another domain, unless per_domain"),
        (rule(DISJOINT), PolicyQuestion(A, X), "a gateway is on all of them, unless per_domain is set for it"),
        (rule(DISJOINT), PolicyQuestion(X, A), "a gateway is on all of them, unless per_domain is set for it"),
        (rule('hybrid = "xor"'), PolicyQuestion(A, X), "those of another domain cannot be"),
        (rule('hybrid = "xor"'), PolicyQuestion(Y, A), "those of another domain are not"),
        (rule('sources = ["rate"]'), PolicyQuestion(A, X), "the sources of keys do not include kme"),
        (rule('sources = ["rate", "kme"]'), PolicyQuestion(X, A), "the sources of keys do not include etsi020"),
    ],
)
def test_what_two_domains_cannot_promise_is_told(text: str, question: PolicyQuestion, why: str) -> None:
    check = of_file(ABROAD + text, question)
    assert not check.possible
    verdict, found = said(check, "other domain")
    assert (verdict, why in found) == ("no", True), found


@pytest.mark.parametrize(
    "text", [rule(DISJOINT), rule("abroad_wait_s = 3"), rule('sources = ["rate", "kme", "relay"]')]
)
def test_what_holds_across_domains_is_told(text: str) -> None:
    check = of_file(ABROAD + text, PolicyQuestion(A, Y))
    assert check.possible, check.steps
    assert said(check, "who") == ("yes", "a is served here, y1 in another domain, over KME carol")
    wait_s = 3 if "abroad" in text else 10
    assert said(check, "other domain")[1].endswith(f"its own policy; it may take {wait_s} s there and back")
    assert "when dry" not in [step.about for step in check.steps]


@pytest.mark.parametrize("question", [PolicyQuestion(A, C), PolicyQuestion(C, A)])
def test_a_kme_that_was_named_since_the_start_is_told_as_such(question: PolicyQuestion) -> None:
    net = network()
    net.kmes[ALICE].kme.home = {**HOME, C: KmeId("carol")}.get
    check = now(net, question)
    assert said(check, "KME") == ("no", "carol is not among those that this node has started with")
    assert not check.possible


def test_a_gateway_tells_of_the_other_kms() -> None:
    two = TwoDomains("a", "w", "b", "e")
    west = two.west.kmes[WEST].kme

    def check(master: str) -> PolicyCheck:
        return check_kme(west, WEST, [], PolicyQuestion(SaeId(master), SaeId("b")))

    assert said(check("w"), "KMS") == ("yes", "east answers")
    two.cut = True
    two.pass_time(31.0)
    assert said(check("w"), "KMS") == ("no", "east: it does not answer")
    assert not check("w").possible
    assert said(check("a"), "who") == (
        "note",
        "a is served at KME alice, b in another domain, over this KME: KME west hands the key over, the other KMEs go "
        "by their own policies",
    )
    east = two.east.kmes[EAST].kme
    arrival = check_kme(east, EAST, [], PolicyQuestion(SaeId("a"), SaeId("b")))
    assert said(arrival, "who") == ("yes", "a is in another domain, over this KME, b at KME bob")


def test_a_key_for_another_domain_needs_the_gateway_and_a_pad_to_it() -> None:
    """It is a record, so what is in the stream to the gateway is nothing but its pad."""
    two = TwoDomains("a", "b")
    alice, question = two.west.kmes[TWO_ALICE], PolicyQuestion(A, B)

    def asked() -> PolicyCheck:
        return check_kme(alice.kme, TWO_ALICE, [(WEST, "virtual")], question)

    assert said(asked(), "copies") == ("yes", "one can go to KME west now")
    alice.peers[WEST].disconnect()
    assert said(asked(), "copies") == ("no", "KME west is not connected")
    assert not asked().possible
    answers = two.get_key(GetKey(A, B))
    assert isinstance(answers[0], Unavailable)
