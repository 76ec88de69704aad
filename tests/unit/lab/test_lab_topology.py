"""Topology files: what is read, and what each mistake is told."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.lab.topology import load_topology, parse_topology, shipped_topologies, topology_text
from keyhop.lab.topology.model import reached

PAIR = """
[[kmes]]
id = "a"
[[kmes]]
id = "b"
[[saes]]
id = "asae"
kme = "a"
[[links]]
id = "a-b"
ends = ["a", "b"]
"""


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parse_topology(text, origin="net.toml")
    return caught.value


def test_a_topology_with_pre_shared_keys_is_written_as_it_is_read() -> None:
    topology = parse_topology("psk_refresh_s = 5\n" + PAIR, origin="net.toml")
    assert topology.psk_refresh_s == 5
    assert parse_topology(topology_text(topology), origin="copy") == topology


def test_two_sites_is_the_lab_of_the_paper() -> None:
    topology = load_topology("two-sites")
    assert topology.kme_ids() == ["alice", "bob"]
    homes = {sae.id: sae.kme for sae in topology.saes}
    assert homes == {
        "alicesae": "alice",
        "alicesae2": "alice",
        "alicesae3": "alice",
        "bobsae": "bob",
        "bobsae2": "bob",
        "bobsae3": "bob",
    }
    (link,) = topology.links
    assert (link.id, link.ends, link.kind) == ("alice-bob", ("alice", "bob"), "bb84")


def test_the_paced_one_has_the_same_sites_and_figures() -> None:
    paced, physical = load_topology("two-sites-paced"), load_topology("two-sites")
    assert (paced.kmes, paced.saes) == (physical.kmes, physical.saes)
    (link,) = paced.links
    assert (link.kind, link.options) == ("rate", {"rate_bps": 726_000, "qber": 0.0322})


def test_what_is_not_a_links_own_is_an_option_of_its_kind() -> None:
    text = PAIR + 'kind = "bb84"\n[links.channel]\nlength_km = 25.0\n'
    topology = parse_topology(text, origin="net.toml")
    assert topology.links[0].options == {"channel": {"length_km": 25.0}}
    assert parse_topology(topology_text(topology), origin="copy") == topology


def test_every_shipped_topology_loads() -> None:
    assert "two-sites" in shipped_topologies()
    for name in shipped_topologies():
        assert load_topology(name).kmes


def test_metro_has_a_dozen_sites_and_thousands_of_pairs_and_not_a_link_between_every_two() -> None:
    metro = load_topology("metro")
    saes = Counter(sae.kme for sae in metro.all_saes())
    assert set(saes) == set(metro.kme_ids())
    pairs = sum(saes[here] * saes[there] for here, there in combinations(saes, 2))
    assert (len(metro.kmes), len(metro.links), pairs) == (12, 16, 12_936)


def test_metro_is_parted_by_no_single_link_or_node() -> None:
    metro = load_topology("metro")
    joined = [link.ends for link in metro.links]
    for lost in joined:
        assert reached("north", [ends for ends in joined if ends != lost]) == set(metro.kme_ids())
    for lost_node in metro.kme_ids():
        left = set(metro.kme_ids()) - {lost_node}
        assert reached(min(left), [ends for ends in joined if lost_node not in ends]) == left


def test_in_adva_two_links_of_different_makers_lie_in_a_row() -> None:
    adva = load_topology("adva")
    links = {link.ends: link.kind for link in adva.links if link.ends[0].startswith("node")}
    assert links == {("node-1", "node-2"): "etsi014", ("node-2", "node-3"): "files"}
    assert adva.relay == {"strategy": "xor-at-destination"}


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text(PAIR + "[policy]\nwait_s = 0.5\n")
    topology = load_topology(str(path))
    assert topology.policy == {"wait_s": 0.5}
    assert topology == load_topology(path)


def test_a_missing_file_names_the_shipped_ones() -> None:
    with pytest.raises(ConfigurationError, match="no-such-thing") as caught:
        load_topology("no-such-thing")
    assert caught.value.hint is not None
    assert "two-sites" in caught.value.hint


def test_an_unknown_key_names_the_nearest() -> None:
    error = refusal('[[kmes]]\nidd = "a"\n')
    assert (error.message, error.hint) == ('net.toml: unknown key "idd" in [[kmes]]', 'did you mean "id"?')
    error = refusal(PAIR + "[zzz]\n")
    assert (error.message, error.hint) == (
        'net.toml: unknown key "zzz"',
        "known here: kmes, saes, links, gateways, delays, policy, relay, psk_refresh_s",
    )


CHAIN = PAIR + '[[kmes]]\nid = "c"\n[[links]]\nid = "b-c"\nends = ["c", "b"]\n'


def test_kmes_need_no_link_between_them_while_links_lead_from_one_to_the_other() -> None:
    assert parse_topology(CHAIN, origin="net.toml").peers("a") == ["b", "c"]
    error = refusal(CHAIN + '[[kmes]]\nid = "d"\n[[kmes]]\nid = "e"\n[[links]]\nid = "d-e"\nends = ["d", "e"]\n')
    assert error.message == "net.toml: no links lead from the KME `a` to `d`"


def test_links_of_another_network_lead_nowhere() -> None:
    other = '[[kmes]]\nid = "va"\nnetwork = "v"\n[[kmes]]\nid = "vb"\nnetwork = "v"\n'
    assert refusal(CHAIN + other).message == "net.toml: no links lead from the KME `va` to `vb`"


def test_saes_may_have_numbers_for_names() -> None:
    topology = parse_topology(CHAIN.replace('id = "c"', 'id = "c"\nsaes = 3', 1), origin="net.toml")
    assert [(sae.id, sae.kme) for sae in topology.all_saes()] == [
        ("asae", "a"),
        ("c-1", "c"),
        ("c-2", "c"),
        ("c-3", "c"),
    ]
    assert topology.home("c-3") == "c"
    assert parse_topology(topology_text(topology), origin="copy") == topology


def test_distance_and_relay_are_said() -> None:
    text = CHAIN + '[[delays]]\nends = ["a", "c"]\none_way_ms = 45\n[relay]\nstrategy = "secret-shared"\n'
    topology = parse_topology(text, origin="net.toml")
    (delay,) = topology.delays
    assert (delay.id, delay.one_way_ms) == ("a--c", 45)
    assert topology.relay == {"strategy": "secret-shared"}
    assert parse_topology(topology_text(topology), origin="copy") == topology


FED = """
[[kmes]]
id = "va"
network = "vendor"
[[kmes]]
id = "vb"
network = "vendor"
[[saes]]
id = "a at v"
kme = "va"
[[saes]]
id = "b at v"
kme = "vb"
[[links]]
id = "v"
ends = ["va", "vb"]
[[links]]
id = "fed"
ends = ["a", "b"]
kind = "etsi014"
saes = ["a at v", "b at v"]
""".replace(" at v", "-at-v")


TWO_GATEWAYS = '[[gateways]]\nends = ["a", "va"]\n\n[[gateways]]\nends = ["b", "vb"]\n'
FAR_APART = '\n[[delays]]\nends = ["a", "vb"]\none_way_ms = 1'


def test_a_gateway_joins_two_networks_and_may_be_far_away() -> None:
    text = PAIR + FED + '[[gateways]]\nends = ["a", "va"]\n[[delays]]\nends = ["va", "a"]\none_way_ms = 45\n'
    topology = parse_topology(text, origin="net.toml")
    assert (topology.beyond("a"), topology.beyond("va")) == ({"va": "vendor"}, {"a": "main"})
    assert topology.beyond("b") == {}
    assert topology.saes_beyond("a", "va") == ["a-at-v", "b-at-v"]
    assert parse_topology(topology_text(topology), origin="copy") == topology


IN_A_ROW = """
kmes = [{id = "a", network = "one"}, {id = "b", network = "two"}, {id = "c", network = "three", saes = 1}]
saes = [{id = "asae", kme = "a"}, {id = "bsae", kme = "b"}]
gateways = [{ends = ["a", "b"]}, {ends = ["c", "b"]}]
"""


def test_gateways_lead_beyond_the_next_network() -> None:
    topology = parse_topology(IN_A_ROW, origin="net.toml")
    assert topology.saes_beyond("a", "b") == ["bsae", "c-1"]
    assert topology.saes_beyond("b", "a") == ["asae"]
    assert topology.saes_beyond("b", "c") == ["c-1"]
    assert topology.saes_beyond("c", "b") == ["asae", "bsae"]
    ring = refusal(IN_A_ROW.replace("gateways = [", 'gateways = [{ends = ["a", "c"]}, '))
    assert "c and b join two networks that are joined already" in ring.message


def test_kmes_of_different_networks_need_no_link_and_are_no_peers() -> None:
    topology = parse_topology(PAIR + FED, origin="net.toml")
    assert topology.peers("a") == ["b"]
    assert topology.peers("vb") == ["va"]
    assert topology.home("b-at-v") == "vb"
    assert parse_topology(topology_text(topology), origin="copy") == topology


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('ends = ["va", "vb"]', 'ends = ["va", "b"]'), "link `v` joins two networks"),
        (('saes = ["a-at-v", "b-at-v"]', ""), "link `fed`: a link of kind etsi014, and no other, has two saes"),
        (('kind = "etsi014"', ""), "link `fed`: a link of kind etsi014, and no other, has two saes"),
        (('saes = ["a-at-v", "b-at-v"]', 'saes = ["a-at-v", "asae"]'), "fed by its own network: `asae`"),
        (('saes = ["a-at-v", "b-at-v"]', 'saes = ["a-at-v", "x"]'), "names the SAE `x`"),
        (('saes = ["a-at-v", "b-at-v"]', 'saes = ["a-at-v"]'), "has two saes"),
        (('kind = "etsi014"', 'kind = "etsi014"\ndevice = {rate = 1}'), 'unknown key "rate" in [[links]]'),
    ],
)
def test_a_link_is_fed_by_two_saes_of_another_network(change: tuple[str, str], told: str) -> None:
    assert told in refusal(PAIR + FED.replace(*change)).message


def test_one_kme_needs_no_link() -> None:
    assert parse_topology('kmes = [{id = "a"}]', origin="net.toml").links == ()


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("kmes = []", "kmes"),
        ('kmes = [{id = "a"}, {id = "a"}]', "KME `a` stands there twice"),
        ('kmes = [{id = "../a"}]', "id"),
        ('kmes = [{id = "a/b"}]', "id"),
        ('kmes = [{id = ""}]', "id"),
        (PAIR + '[[saes]]\nid = "x"\nkme = "c"', "SAE `x` names the KME `c`"),
        (PAIR + '[[saes]]\nid = "asae"\nkme = "b"', "SAE `asae` stands there twice"),
        (PAIR + '[[links]]\nid = "a-c"\nends = ["a", "c"]', "link `a-c` names the KME `c`"),
        (PAIR + '[[links]]\nid = "a-a"\nends = ["a", "a"]', "both ends at `a`"),
        (PAIR + '[[links]]\nid = "x"\nends = ["a"]', "ends"),
        (PAIR + "kind = 7", "kind"),
        ('kmes = [{id = "a", saes = -1}]', "saes"),
        ('kmes = [{id = "a", saes = 2}]\nsaes = [{id = "a-2", kme = "a"}]', "SAE `a-2` stands there twice"),
        (PAIR + '[[gateways]]\nends = ["a", "c"]', "[[gateways]] names the KME `c`"),
        (PAIR + '[[gateways]]\nends = ["a", "b"]', "a and b are of one network"),
        (PAIR + FED + TWO_GATEWAYS, "b and vb join two networks that are joined already"),
        (PAIR + FED + TWO_GATEWAYS.partition("\n\n")[0] + FAR_APART, "nothing to say to each other"),
        (PAIR + '[[delays]]\nends = ["a", "c"]\none_way_ms = 1', "[[delays]] names the KME `c`"),
        (PAIR + '[[delays]]\nends = ["a", "a"]\none_way_ms = 1', "nothing to say to each other"),
        (PAIR + FED + '[[delays]]\nends = ["a", "va"]\none_way_ms = 1', "nothing to say to each other"),
        (PAIR + '[[delays]]\nends = ["a", "b"]\none_way_ms = 0', "one_way_ms"),
        (PAIR + 2 * '[[delays]]\nends = ["a", "b"]\none_way_ms = 1\n', "two [[delays]] between `a` and `b`"),
        ('links = "none"', "links"),
        ("kmes = [", "net.toml"),
    ],
)
def test_a_mistake_is_told_where_it_stands(mistake: str, told: str) -> None:
    assert told in refusal(mistake).message


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    path.write_text("#" * (1 << 20) + "\n")
    with pytest.raises(ConfigurationError, match="larger than"):
        load_topology(path)
