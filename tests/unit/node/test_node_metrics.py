"""Metrics in the Prometheus text format."""

from prometheus_client.parser import text_string_to_metric_families

from keyhop.core.ids import LinkId
from keyhop.node.expiry import Expiry
from keyhop.node.state import (
    LinkInfo,
    PeerInfo,
    PskInfo,
)
from keyhop.node.telemetry import Metrics
from keyhop.testing.shown_node import BOB, ShownNode


class View(ShownNode):
    def __init__(self) -> None:
        self.link = LinkInfo(LinkId("a-b"), BOB, "rate", False, "generating", None, 726_000.0, 0.0322, 7)

    def links(self) -> list[LinkInfo]:
        return [self.link]

    def peers(self) -> list[PeerInfo]:
        return [PeerInfo(BOB, True, False, 1.0, psk=PskInfo(12, 11, 1_700_000_000.5))]


def scrape(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_state_is_read_at_each_scrape() -> None:
    view = View()
    metrics = Metrics(view, version="1")
    link = (("kind", "rate"), ("link", "a-b"), ("peer", "bob"))
    assert scrape(metrics)["keyhop_link_sbr_bps", link] == 726_000
    assert scrape(metrics)["keyhop_link_qber", link] == 0.0322
    assert scrape(metrics)["keyhop_link_blocks_total", link] == 7
    view.link = LinkInfo(LinkId("a-b"), BOB, "rate", False, "stopped", "QBER", 0.0, None, 8)
    samples = scrape(metrics)
    assert samples["keyhop_link_generating", link] == 0
    assert samples["keyhop_link_blocks_total", link] == 8
    assert ("keyhop_link_qber", link) not in samples


def test_streams_by_account_and_peers() -> None:
    samples = scrape(Metrics(View(), version="1"))
    accounts = {
        dict(labels)["account"]: value for (name, labels), value in samples.items() if name == "keyhop_stream_bytes"
    }
    assert accounts == {
        "produced": 100,
        "available": 50,
        "leased": 10,
        "delivered": 20,
        "pad": 5,
        "mac": 4,
        "psk": 8,
        "seed": 0,
        "id_key": 3,
        "voided": 2,
        "expired": 6,
        "burnt": 1,
    }
    stream = (("follower", "bob"), ("owner", "alice"), ("role", "owner"), ("route", "direct"))
    assert samples["keyhop_stream_epoch", stream] == 3
    assert samples["keyhop_stream_balanced", stream] == 1
    assert samples["keyhop_peer_connected", (("peer", "bob"),)] == 1
    assert samples["keyhop_peer_psk_generation", (("peer", "bob"),)] == 12
    assert samples["keyhop_peer_psk_refreshed_timestamp_seconds", (("peer", "bob"),)] == 1_700_000_000.5
    assert samples["keyhop_peer_synchronised", (("peer", "bob"),)] == 0
    assert samples["keyhop_audit_records_total", ()] == 17
    figures = ("known_nodes", "reachable_kmes", "unreachable_kmes", "partitioned", "avoided")
    assert [samples[f"keyhop_topology_{figure}", ()] for figure in figures] == [1, 1, 1, 1, 1]
    gateway = ("gateway", "cambridge")
    assert samples["keyhop_gateway_keys_total", (gateway, ("outcome", "relayed"), ("way", "sent"))] == 7
    assert samples["keyhop_gateway_keys_total", (gateway, ("outcome", "relayed"), ("way", "received"))] == 5
    assert samples["keyhop_gateway_reachable", (gateway,)] == 0
    assert samples["keyhop_gateway_acknowledgements", (gateway,)] == 3
    assert samples["keyhop_gateway_voids", (gateway,)] == 2


def test_requests_and_commits_are_counted_and_timed() -> None:
    metrics = Metrics(View(), version="1")
    metrics.request("etsi014", "enc_keys", 200, 0.0002)
    metrics.request("etsi014", "enc_keys", 200, 0.004)
    metrics.request("etsi014", "enc_keys", 503, 2.0)
    metrics.store_commit(0.003)
    metrics.refused_connection("peers")
    samples = scrape(metrics)

    def requests(code: str) -> float:
        return samples["keyhop_requests_total", (("call", "enc_keys"), ("code", code), ("interface", "etsi014"))]

    def not_slower_than(bound: str) -> float:
        labels = (("call", "enc_keys"), ("interface", "etsi014"), ("le", bound))
        return samples["keyhop_request_duration_seconds_bucket", labels]

    assert (requests("200"), requests("503")) == (2, 1)
    assert (not_slower_than("0.0001"), not_slower_than("0.00025"), not_slower_than("0.005")) == (0, 1, 2)
    assert samples["keyhop_store_commits_total", ()] == 1
    assert samples["keyhop_store_commit_duration_seconds_count", ()] == 1
    assert samples["keyhop_refused_connections_total", (("interface", "peers"),)] == 1


def test_connections() -> None:
    metrics = Metrics(View(), version="1")
    metrics.connections("etsi014", {"open": 3, "handshake": 2}.__getitem__)
    samples = scrape(metrics)
    for state, count in (("open", 3), ("handshake", 2)):
        assert samples["keyhop_connections", (("interface", "etsi014"), ("state", state))] == count


def test_two_nodes_in_one_process_do_not_share_metrics() -> None:
    one, other = Metrics(View(), version="1"), Metrics(View(), version="1")
    one.store_commit(0.1)
    assert scrape(other)["keyhop_store_commits_total", ()] == 0


def test_what_expires_is_read_at_each_scrape() -> None:
    metrics, expiry = Metrics(View(), version="1"), Expiry("revocation list", 1_000.0, "publish one")
    metrics.expires("crl", expiry)
    assert scrape(metrics)["keyhop_crl_expiry_timestamp_seconds", ()] == 1_000
    expiry.not_after = 2_000.0
    assert scrape(metrics)["keyhop_crl_expiry_timestamp_seconds", ()] == 2_000


def test_how_fairly_keys_are_relayed() -> None:
    assert scrape(Metrics(View(), version="1"))["keyhop_relay_fairness", (("priority", "4"),)] == 0.875
