"""What a lab writes before its nodes start."""

import stat
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.lab.delay_proxy import Forwards
from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up
from keyhop.lab.topology import load_topology, parse_topology
from keyhop.node.config import load_config

TRIANGLE = """
[[kmes]]
id = "a"
[[kmes]]
id = "b"
[[kmes]]
id = "c"
[[links]]
id = "a-b"
ends = ["a", "b"]
[[links]]
id = "c-a"
ends = ["c", "a"]
rate_bps = 1000
[[links]]
id = "b-c"
ends = ["b", "c"]
[policy]
wait_s = 0.5
"""


PHYSICAL = """
kmes = [{id = "a"}, {id = "b"}]
[[links]]
id = "a-b"
ends = ["a", "b"]
kind = "bb84"
[links.channel]
loss_db = 2.0
"""


def configuration(layout: Layout, kme: str) -> dict[str, Any]:
    return tomllib.loads(layout.config(kme).read_text())


def resolved(layout: Layout, kme: str, path: str) -> Path:
    return (layout.node(kme) / path).resolve()


@pytest.fixture(scope="module")
def two_sites(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout(tmp_path_factory.mktemp("lab"))
    set_up(layout, load_topology("two-sites-paced"))
    return layout


def test_every_file_that_a_configuration_names_is_there(two_sites: Layout) -> None:
    for kme in ("alice", "bob"):
        document = configuration(two_sites, kme)
        named = list(document["tls"].values()) + [link["secret_file"] for link in document["links"]]
        assert named
        for path in named:
            assert resolved(two_sites, kme, path).is_file()


def test_the_nodes_take_their_configurations(two_sites: Layout) -> None:
    for kme in ("alice", "bob"):
        config = load_config(two_sites.config(kme))
        assert (config.node.id, config.node.lab) == (kme, True)
        assert [(link.id, link.kind) for link in config.links] == [("alice-bob", "rate")]


def test_both_ends_of_a_link_get_the_same_secret_and_figures(two_sites: Layout) -> None:
    ends = {kme: configuration(two_sites, kme)["links"][0] for kme in ("alice", "bob")}
    secrets = {resolved(two_sites, kme, link.pop("secret_file")) for kme, link in ends.items()}
    assert [link.pop("peer") for link in ends.values()] == ["bob", "alice"]
    assert ends["alice"] == ends["bob"]
    (secret,) = secrets
    assert len(bytes.fromhex(secret.read_text())) == 32
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_each_node_dials_the_address_on_which_the_other_listens(two_sites: Layout) -> None:
    alice, bob = (configuration(two_sites, kme) for kme in ("alice", "bob"))
    assert alice["kmes"] == [{"id": "bob", "peer_address": bob["peers"]["listen"]}]
    assert bob["kmes"] == [{"id": "alice", "peer_address": alice["peers"]["listen"]}]
    listen = [node[section]["listen"] for node in (alice, bob) for section in ("etsi014", "management", "peers")]
    assert len(set(listen)) == 6


def test_nodes_with_pre_shared_keys_have_one_for_each_other_and_none_twice(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    set_up(layout, parse_topology("psk_refresh_s = 5\n" + TRIANGLE, origin="triangle"))
    documents = {kme: configuration(layout, kme) for kme in "abc"}
    keys = {
        frozenset((kme, peer["id"])): resolved(layout, kme, peer["psk_file"]).read_text()
        for kme, document in documents.items()
        for peer in document["kmes"]
    }
    assert len(set(keys.values())) == 3
    assert all(len(bytes.fromhex(key)) == 32 for key in keys.values())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (tmp_path / "psks").iterdir())
    assert "psk_listen" not in documents["a"]["peers"]  # it dials both others
    assert all(document["peers"]["psk_refresh_s"] == 5 for document in documents.values())
    to_b = [peer["peer_address"] for kme in "ac" for peer in documents[kme]["kmes"] if peer["id"] == "b"]
    assert to_b[0] == documents["b"]["peers"]["psk_listen"]


def test_all_nodes_know_all_saes_and_their_certificates_exist(two_sites: Layout) -> None:
    alice, bob = (configuration(two_sites, kme) for kme in ("alice", "bob"))
    assert alice["saes"] == bob["saes"]
    assert {"id": "bobsae2", "kme": "bob"} in alice["saes"]
    for sae in alice["saes"]:
        for path in two_sites.sae_certificate(sae["id"]):
            assert path.is_file()


def test_links_appear_only_at_their_ends_and_the_policy_everywhere(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    set_up(layout, parse_topology(TRIANGLE, origin="triangle"))
    links = {kme: configuration(layout, kme)["links"] for kme in "abc"}
    seen = {kme: [(link["id"], link["peer"], link.get("rate_bps")) for link in links[kme]] for kme in "abc"}
    assert seen == {
        "a": [("a-b", "b", None), ("c-a", "c", 1000)],
        "b": [("a-b", "a", None), ("b-c", "c", None)],
        "c": [("c-a", "a", 1000), ("b-c", "b", None)],
    }
    assert all(configuration(layout, kme)["policy"] == {"wait_s": 0.5} for kme in "abc")


def test_distance_lies_between_two_nodes_in_both_directions_and_nowhere_else(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    set_up(layout, parse_topology(TRIANGLE + '[[delays]]\nends = ["a", "c"]\none_way_ms = 45\n', origin="far"))
    found = {(kme, peer["id"]): peer["peer_address"] for kme in "abc" for peer in configuration(layout, kme)["kmes"]}
    listen = {kme: configuration(layout, kme)["peers"]["listen"] for kme in "abc"}
    assert {peers for peers, address in found.items() if address != listen[peers[1]]} == {("a", "c"), ("c", "a")}
    told = msgspec.json.decode(layout.forwards("a--c").read_bytes(), type=Forwards)
    assert told == Forwards(45, ((found["c", "a"], listen["a"]), (found["a", "c"], listen["c"])))


def test_gateways_know_each_other_over_the_distance_and_everyone_else_knows_the_way(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    set_up(layout, load_topology("toronto-cambridge"))
    near, far = (configuration(layout, kme) for kme in ("toronto-z", "cambridge-x"))
    assert near["gateways"][0]["saes"] == ["application-b", "cambridge-office"]
    told = msgspec.json.decode(layout.forwards("toronto-z--cambridge-x").read_bytes(), type=Forwards)
    behind = dict(told.forwards)
    for here, there in ((near, far), (far, near)):
        (gateway,) = here["gateways"]
        assert behind[gateway["url"].removeprefix("https://")] == there["etsi020"]["listen"]
        assert there["gateways"][0]["callback_url"] == gateway["url"] + "/kmapi/v1/ext_keys/ack"
    inner = configuration(layout, "toronto-x")
    assert inner["foreign_saes"] == [{"kme": "toronto-z", "saes": ["application-b", "cambridge-office"]}]
    assert "etsi020" not in inner
    assert inner["gateways"] == near["foreign_saes"] == []


def test_numbered_saes_have_certificates_and_stand_everywhere(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    set_up(layout, parse_topology('kmes = [{id = "a", saes = 2}]', origin="one"))
    assert configuration(layout, "a")["saes"] == [{"id": "a-1", "kme": "a"}, {"id": "a-2", "kme": "a"}]
    assert all(path.is_file() for path in layout.sae_certificate("a-2"))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("rate_bits = 5", 'unknown key "rate_bits" in [[links]] b-c'),
        ("rate_bps = 0", "rate_bps"),
        ('rate_bps = "fast"', "rate_bps"),
        ("qber = 0.6", "qber"),
        ("qber = nan", "qber"),
        ('kind = "magic"', "magic"),
        ("[policy]\nwait_s = -1", "wait_s"),
    ],
)
def test_what_a_node_would_refuse_is_refused_before_it_starts(tmp_path: Path, option: str, told: str) -> None:
    layout = Layout(tmp_path)
    text = TRIANGLE.partition("[policy]")[0] + option + "\n"
    with pytest.raises(ConfigurationError) as refusal:
        set_up(layout, parse_topology(text, origin="triangle"))
    assert told in refusal.value.message
    set_up(layout, parse_topology(TRIANGLE, origin="mended"))


def test_a_bb84_link_has_a_transmitter_a_receiver_and_two_secrets(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    set_up(layout, parse_topology(PHYSICAL, origin="physical"))
    ends = {kme: configuration(layout, kme)["links"][0] for kme in ("a", "b")}
    assert [ends[kme]["role"] for kme in ("a", "b")] == ["transmitter", "receiver"]
    for name in ("enrolment_file", "pulses_file"):
        (path,) = {resolved(layout, kme, link[name]) for kme, link in ends.items()}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_config(layout.config("a")).links[0].kind == "bb84"


def contents(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in layout.directory.rglob("*") if path.is_file()}


def test_setting_up_again_changes_nothing(tmp_path: Path) -> None:
    layout, topology = Layout(tmp_path), parse_topology(TRIANGLE, origin="triangle")
    set_up(layout, topology)
    before = contents(layout)
    set_up(layout, topology)
    assert contents(layout) == before


def test_setting_up_that_was_cut_short_is_finished_with_the_same_authority(tmp_path: Path) -> None:
    layout, topology = Layout(tmp_path), parse_topology(TRIANGLE, origin="triangle")
    set_up(layout, topology)
    authority = layout.ca.read_bytes()
    layout.topology.unlink()
    layout.config("b").unlink()
    layout.node_certificate("c")[0].unlink()
    set_up(layout, topology)
    assert layout.ca.read_bytes() == authority
    assert layout.node_certificate("c")[0].is_file()
    peers = {kme: configuration(layout, kme)["peers"]["listen"] for kme in "abc"}
    assert {peer["id"]: peer["peer_address"] for peer in configuration(layout, "a")["kmes"]} == {
        "b": peers["b"],
        "c": peers["c"],
    }


def test_another_topology_does_not_overwrite_a_lab(two_sites: Layout) -> None:
    with pytest.raises(ConfigurationError, match="another topology"):
        set_up(two_sites, parse_topology(TRIANGLE, origin="triangle"))
