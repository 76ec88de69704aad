"""Prometheus metrics of one node, in a registry of their own. What the node already knows is read when scraped."""

from collections.abc import Callable, Iterable
from functools import partial
from math import inf

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keyhop.node.expiry import Expiry
from keyhop.node.state import ACCOUNTS, NetworkView
from keyhop.node.telemetry.tallies import Tallies, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REQUEST_BUCKETS_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5)
_COMMIT_BUCKETS_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 1)


class Metrics:
    """Counts what happens; `view` says at each scrape what is."""

    def __init__(self, view: NetworkView, *, version: str, restored: bool = False) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Tallies(
            ("keyhop_requests", "Requests answered."),
            ("keyhop_request_duration_seconds", "From the last byte of a request to its answer."),
            ("interface", "call", "code"),
            _REQUEST_BUCKETS_S,
            only_counted=1,
        )
        commits = Tallies(
            ("keyhop_store_commits", "Durable commits."),
            ("keyhop_store_commit_duration_seconds", "How long a commit took."),
            (),
            _COMMIT_BUCKETS_S,
        )
        registry.register(self._requests)
        registry.register(commits)
        self._commits = commits.of(())
        self._refused = Counter(
            "keyhop_refused_connections", "Connections refused before any request.", ("interface",), registry=registry
        )
        self._answers: dict[tuple[str, str, int], Tally] = {}
        Info("keyhop_build", "The running software.", registry=registry).info({"version": version})
        Gauge(
            "keyhop_store_restored",
            "1 when the node found at its start that its store is an old copy.",
            registry=registry,
        ).set(restored)
        ProcessCollector(registry=registry)
        registry.register(_ViewCollector(view))

    def request(self, interface: str, call: str, code: int, duration_s: float) -> None:
        """One answered request, such as ("etsi014", "enc_keys", 200, 0.0004). Names must come from a fixed set."""
        tally = self._answers.get((interface, call, code))
        if tally is None:
            tally = self._answers[interface, call, code] = self._requests.of((interface, call, str(code)))
        tally.add(duration_s)

    def store_commit(self, duration_s: float) -> None:
        """One durable commit."""
        self._commits.add(duration_s)

    def refused_connection(self, interface: str) -> None:
        """One connection that failed its handshake or was over a limit."""
        self._refused.labels(interface).inc()

    def connections(self, interface: str, count: Callable[[str], int]) -> None:
        """`count` tells how many connections are "open", and how many "handshake" in TLS."""
        gauge = Gauge("keyhop_connections", "Connections now.", ("interface", "state"), registry=self._registry)
        for state in ("open", "handshake"):
            gauge.labels(interface, state).set_function(partial(count, state))

    def expires(self, what: str, expiry: Expiry) -> None:
        """A date to watch; `what` names the metric: `keyhop_<what>_expiry_timestamp_seconds`."""
        name = f"keyhop_{what}_expiry_timestamp_seconds"
        gauge = Gauge(name, f"When it expires, in seconds since 1970: the {expiry.what}.", registry=self._registry)
        gauge.set_function(lambda: expiry.not_after)

    def render(self) -> bytes:
        """Everything in the Prometheus text format (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)


class _ViewCollector(Collector):
    def __init__(self, view: NetworkView) -> None:
        self._view = view

    def describe(self) -> Iterable[Metric]:
        """Nothing to check at registration: the node may not be up yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        yield from self._links()
        yield from self._streams()
        yield from self._peers()
        yield from self._topology()
        yield from self._gateways()
        fairness = GaugeMetricFamily(
            "keyhop_relay_fairness", "Jain's index over the relayed streams of a priority.", labels=("priority",)
        )
        for of in self._view.relay().fairness:
            fairness.add_metric((str(of.priority),), of.jains_index)
        yield fairness
        records = CounterMetricFamily("keyhop_audit_records", "Records that the audit log holds.")
        records.add_metric((), self._view.audit().records)
        yield records

    def _links(self) -> Iterable[Metric]:
        labels = ("link", "peer", "kind")
        sbr = GaugeMetricFamily("keyhop_link_sbr_bps", "Secret bits per second.", labels=labels)
        qber = GaugeMetricFamily("keyhop_link_qber", "Quantum bit error rate, a fraction.", labels=labels)
        generating = GaugeMetricFamily("keyhop_link_generating", "1 while the link generates key.", labels=labels)
        blocks = CounterMetricFamily("keyhop_link_blocks", "Blocks that the link has produced.", labels=labels)
        alarms = CounterMetricFamily(
            "keyhop_link_alarms", "Times that the link stopped by itself or warned.", labels=labels
        )
        for link in self._view.links():
            values = (link.id, link.peer, link.kind)
            sbr.add_metric(values, link.sbr_bps)
            generating.add_metric(values, float(link.state == "generating"))
            blocks.add_metric(values, link.blocks)
            alarms.add_metric(values, link.alarms)
            if link.qber is not None:
                qber.add_metric(values, link.qber)
        return sbr, qber, generating, blocks, alarms

    def _streams(self) -> Iterable[Metric]:
        labels = ("owner", "follower", "route", "role")
        size = GaugeMetricFamily("keyhop_stream_bytes", "Stream bytes by account.", labels=(*labels, "account"))
        epoch = GaugeMetricFamily("keyhop_stream_epoch", "The stream's epoch.", labels=labels)
        balanced = GaugeMetricFamily("keyhop_stream_balanced", "1 while the ledger balances.", labels=labels)
        coming = GaugeMetricFamily("keyhop_stream_coming_bytes", "Bytes a second that come into it.", labels=labels)
        going = GaugeMetricFamily("keyhop_stream_going_bytes", "Bytes a second that are used.", labels=labels)
        runway = GaugeMetricFamily(
            "keyhop_stream_runway_seconds", "Until it is empty, if all goes on so; +Inf: it does not.", labels=labels
        )
        for stream in self._view.streams():
            values = (stream.owner, stream.follower, stream.route, stream.role)
            for account in ACCOUNTS:
                size.add_metric((*values, account), getattr(stream, account))
            epoch.add_metric(values, stream.epoch)
            balanced.add_metric(values, float(stream.balanced))
            if stream.role == "owner":
                coming.add_metric(values, stream.coming_per_s or 0.0)
                going.add_metric(values, stream.going_per_s or 0.0)
                runway.add_metric(values, inf if stream.runway_s is None else stream.runway_s)
        return size, epoch, balanced, coming, going, runway

    def _peers(self) -> Iterable[Metric]:
        connected = GaugeMetricFamily("keyhop_peer_connected", "1 while connected.", labels=("peer",))
        synchronised = GaugeMetricFamily("keyhop_peer_synchronised", "1 while in step.", labels=("peer",))
        copies = GaugeMetricFamily(
            "keyhop_peer_copies", "1 while two nodes claim to be this peer, or to be this node.", labels=("peer",)
        )
        generation = GaugeMetricFamily(
            "keyhop_peer_psk_generation", "How often the PSK of a peer that has one was refreshed.", labels=("peer",)
        )
        refreshed = GaugeMetricFamily(
            "keyhop_peer_psk_refreshed_timestamp_seconds", "When that PSK was refreshed last.", labels=("peer",)
        )
        relays = GaugeMetricFamily(
            "keyhop_peer_relay_works", "0 while no keys are relayed to it that should be.", labels=("peer",)
        )
        for peer in self._view.peers():
            if peer.psk is not None:
                generation.add_metric((peer.id,), peer.psk.generation)
                refreshed.add_metric((peer.id,), peer.psk.refreshed_at or 0.0)
            connected.add_metric((peer.id,), float(peer.connected))
            synchronised.add_metric((peer.id,), float(peer.synchronised))
            copies.add_metric((peer.id,), float(peer.is_two or peer.replaced_us))
            relays.add_metric((peer.id,), float(peer.relay_trouble is None))
        return connected, synchronised, copies, generation, refreshed, relays

    def _topology(self) -> Iterable[Metric]:
        topology = self._view.topology()
        nodes = topology.nodes
        figures = (
            ("known_nodes", "Other KMEs that tell of their links.", sum(node.heard_s is not None for node in nodes)),
            ("reachable_kmes", "Other KMEs to which QKD links lead.", sum(node.reachable for node in nodes)),
            ("unreachable_kmes", "Other KMEs to which none lead.", len(topology.unreachable)),
            ("partitioned", "1 while QKD links do not lead to all KMEs.", len(topology.parts) > 1),
            ("avoided", "Nodes and edges that failed just now.", len(topology.avoided)),
        )
        for name, text, value in figures:
            yield GaugeMetricFamily(f"keyhop_topology_{name}", text, value=float(value))

    def _gateways(self) -> Iterable[Metric]:
        keys = CounterMetricFamily(
            "keyhop_gateway_keys",
            "Keys handed over to, or taken from, the KMS of another domain.",
            labels=("gateway", "way", "outcome"),
        )
        reachable = GaugeMetricFamily("keyhop_gateway_reachable", "1 while it answers.", labels=("gateway",))
        owed = GaugeMetricFamily(
            "keyhop_gateway_acknowledgements", "Acknowledgements that it has not taken yet.", labels=("gateway",)
        )
        voids = GaugeMetricFamily("keyhop_gateway_voids", "Keys that it has yet to void.", labels=("gateway",))
        for gateway in self._view.gateways():
            for way, outcomes in (("sent", gateway.sent), ("received", gateway.received)):
                for outcome, number in outcomes.items():
                    keys.add_metric((gateway.id, way, outcome), number)
            reachable.add_metric((gateway.id,), float(bool(gateway.reachable)))
            owed.add_metric((gateway.id,), gateway.acknowledgements)
            voids.add_metric((gateway.id,), gateway.voids)
        return keys, reachable, owed, voids
