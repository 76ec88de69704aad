"""What a lab makes for links that devices feed."""

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from keyhop.lab import file_device
from keyhop.lab.layout import Layout
from keyhop.lab.setup import set_up
from keyhop.lab.topology import load_topology
from keyhop.node.config import load_config


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout(tmp_path_factory.mktemp("lab"))
    set_up(layout, load_topology("vendors"))
    return layout


def document(layout: Layout, kme: str) -> dict[str, Any]:
    return tomllib.loads(layout.config(kme).read_text())


def table(layout: Layout, kme: str, link: str) -> dict[str, Any]:
    (found,) = [each for each in document(layout, kme)["links"] if each["id"] == link]
    return dict(found)


def test_nodes_know_their_own_network_only(layout: Layout) -> None:
    known = {}
    for kme in ("alice", "bob", "vendor-alice", "vendor-bob"):
        node = document(layout, kme)
        known[kme] = ([each["id"] for each in node["kmes"]], [each["id"] for each in node["saes"]])
        assert load_config(layout.config(kme)).node.id == kme
    assert known == {
        "alice": (["bob"], ["alicesae", "bobsae"]),
        "bob": (["alice"], ["alicesae", "bobsae"]),
        "vendor-alice": (["vendor-bob"], ["keyhop-alice", "keyhop-bob"]),
        "vendor-bob": (["vendor-alice"], ["keyhop-alice", "keyhop-bob"]),
    }


def test_each_end_is_an_sae_of_the_kme_that_feeds_it(layout: Layout) -> None:
    for kme, vendor, me, other, role in (
        ("alice", "vendor-alice", "keyhop-alice", "keyhop-bob", "initiator"),
        ("bob", "vendor-bob", "keyhop-bob", "keyhop-alice", "follower"),
    ):
        options = table(layout, kme, "alice-bob-etsi014")
        assert options["base_url"] == f"https://{document(layout, vendor)['etsi014']['listen']}"
        assert (options["peer_sae_id"], options["role"]) == (other, role)
        assert (layout.node(kme) / options["certificate"]).resolve() == layout.sae_certificate(me)[0]
        for name in ("ca", "certificate", "key"):
            assert (layout.node(kme) / options[name]).is_file()
        assert "saes" not in options


def test_each_end_has_a_directory_of_its_own_for_files(layout: Layout) -> None:
    directories = {
        kme: layout.node(kme) / table(layout, kme, "alice-bob-files")["directory"] for kme in ("alice", "bob")
    }
    assert len({path.resolve() for path in directories.values()}) == 2
    for path in directories.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert "device" not in table(layout, "alice", "alice-bob-files")


def test_the_device_drops_the_same_whole_files_at_both_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sites = [tmp_path / "a", tmp_path / "b"]
    for site in sites:
        site.mkdir()
        (site / "left over.part").touch()
    monkeypatch.setattr(file_device, "MAX_WAITING", 5)
    turns = []

    class Enough(Exception):
        pass

    def sleep(seconds: float) -> None:
        turns.append(seconds)
        if len(turns) == 9:
            raise Enough

    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(Enough):
        file_device.run(8_000.0, 100, sites)
    assert turns == [0.1] * 9
    names = sorted(path.name for path in sites[0].iterdir())
    assert names == sorted(path.name for path in sites[1].iterdir())
    assert len(names) == 5
    for name in names:
        assert name.endswith(".key")
        assert stat.S_IMODE((sites[0] / name).stat().st_mode) == 0o600
        assert (sites[0] / name).read_bytes() == (sites[1] / name).read_bytes()
        assert (sites[0] / name).stat().st_size == 100
    assert len({(sites[0] / name).read_bytes() for name in names}) == 5
