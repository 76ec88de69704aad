"""Two domains of real nodes, each with its own authority, joined by a gateway node of each."""

import json
from collections.abc import Iterator
from functools import partial

import pytest
from callers import Caller, management, until
from joined_labs import Side, joined_labs

from keyhop.cli import main
from keyhop.lab import Inventory, Lab

type Joined = tuple[Lab, Lab, Side, Side]


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    with joined_labs(tmp_path_factory.mktemp("joined")) as both:
        for lab, kmes in ((both[0], ("alice", "west")), (both[1], ("bob", "east"))):
            for kme in kmes:
                page = partial(management, lab.inventory(), kme, "/readyz")
                until(lambda page=page: not page()["missing"])  # type: ignore[misc]
        yield both


def inventories(joined: Joined) -> tuple[Inventory, Inventory]:
    return joined[0].inventory(), joined[1].inventory()


@pytest.mark.parametrize("master", ["alicesae", "westsae"])
@pytest.mark.parametrize("slave", ["bobsae", "eastsae"])
def test_saes_of_two_domains_share_keys(joined: Joined, master: str, slave: str) -> None:
    west, east = inventories(joined)
    there, here = Caller.of(west, master), Caller.of(east, slave)
    for one, name, other, its in ((there, master, here, slave), (here, slave, there, master)):
        keys = one.enc_keys(its, number=3, size=256)
        fetched = other.dec_keys(name, *(key["key_ID"] for key in keys))
        assert fetched.status == 200, fetched.body
        assert fetched.body["keys"] == keys
        assert other.dec_keys(name, keys[0]["key_ID"]).status == 400


def test_several_slaves_on_both_sides(joined: Joined) -> None:
    west, east = inventories(joined)
    (key,) = Caller.of(west, "alicesae").enc_keys(
        "bobsae", additional_slave_SAE_IDs=["bobsae2", "eastsae", "westsae", "alicesae2"]
    )
    for inventory, slaves in ((east, ("bobsae", "bobsae2", "eastsae")), (west, ("westsae", "alicesae2"))):
        for slave in slaves:
            assert Caller.of(inventory, slave).dec_keys("alicesae", key["key_ID"]).body["keys"] == [key]


def test_status_and_metrics_of_a_gateway(joined: Joined) -> None:
    west, _ = inventories(joined)
    Caller.of(west, "alicesae").enc_keys("bobsae")
    (gateway,) = management(west, "west", "/v1/gateways")
    assert (gateway["id"], gateway["reachable"], gateway["trouble"]) == ("east-kms", True, None)
    assert gateway["versions"] == ["v1"]
    assert gateway["sent"]["relayed"] >= 1
    assert management(west, "alice", "/v1/gateways") == []


def test_a_gateway_conforms_to_etsi_020(joined: Joined, capsys: pytest.CaptureFixture[str]) -> None:
    """The suite stands in for the west gateway, which is stopped meanwhile so that its address is free."""
    west_lab, east_lab, west, east = joined
    east_inventory = east_lab.inventory()
    certificate, key = west.layout.node_certificate("west")
    slave = east_inventory.sae("bobsae")
    west_lab.kill("west")
    arguments = [
        "--ca",
        east.layout.ca,
        "--cert",
        certificate,
        "--key",
        key,
        "--initiator",
        "alicesae",
        "--target",
        "bobsae",
    ]
    arguments += ["--callback-listen", west.url.removeprefix("https://")]
    arguments += ["--slave-url", east_inventory.kme("bob").etsi014_url, "--slave-cert", slave.cert]
    arguments += ["--slave-key", slave.key, "--json"]
    try:
        with pytest.raises(SystemExit) as ended:
            main(["conformance", "etsi020", east.url, *map(str, arguments)])
    finally:
        west_lab.start("west")
    report = json.loads(capsys.readouterr().out)
    assert [(r["name"], r["found"]) for r in report["results"] if r["verdict"] == "fail"] == []
    assert (ended.value.code, report["conforms"]) == (0, True)
    assert [r["name"] for r in report["results"] if r["verdict"] == "skipped"] == [
        "synchronous requests are refused if not announced"
    ]


def test_a_stranger_gets_no_further_than_the_handshake(joined: Joined) -> None:
    """An SAE of the other domain has a certificate of the right authority, but is no KMS."""
    west_lab, _, _, east = joined
    sae = west_lab.inventory().sae("alicesae")
    caller = Caller(east.url, str(east.layout.ca), sae.cert, sae.key)
    answer = caller.ask("GET", "/kmapi/versions")
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
