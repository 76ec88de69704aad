"""Prometheus metrics of one node, in a registry of their own. What the node already knows is read when scraped."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from keyhop.node.telemetry.measured import MeasuredKeyService
from keyhop.service.requests import KeyService

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ACCOUNTS = ("produced", "available", "leased", "delivered", "pad", "mac", "id_key", "voided", "expired")

_REQUEST_BUCKETS_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5)
_COMMIT_BUCKETS_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 1)


class NetworkView(Protocol):
    """What the gauges are read from at each scrape, as plain data; amounts are bytes unless said otherwise."""

    def links(self) -> Sequence[Mapping[str, Any]]:
        """Per link `id`, `peer`, `kind`, `physics`, `state`, `reason`, `sbr_bps`, `qber` (fraction or None), `blocks`."""
        ...

    def streams(self) -> Sequence[Mapping[str, Any]]:
        """Per end of a stream `owner`, `follower`, `role`, `epoch`, each of `ACCOUNTS`, `balanced`."""
        ...

    def peers(self) -> Sequence[Mapping[str, Any]]:
        """Per other node `id`, `connected`, `synchronised`, `since`."""
        ...


class Metrics:
    """Counts what happens; `render` adds what is."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "keyhop_requests", "Requests answered.", ("interface", "call", "code"), registry=registry
        )
        self._latency = Histogram(
            "keyhop_request_duration_seconds",
            "From an understood request to its answer.",
            ("interface", "call"),
            buckets=_REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._commits = Counter("keyhop_store_commits", "Commits to the store.", registry=registry)
        self._commit_duration = Histogram(
            "keyhop_store_commit_duration_seconds",
            "How long a commit took.",
            buckets=_COMMIT_BUCKETS_S,
            registry=registry,
        )
        self._observed: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        Info("keyhop_build", "The running software.", registry=registry).info({"version": version("keyhop")})
        ProcessCollector(registry=registry)

    def request(self, interface: str, call: str, code: int, duration_s: float) -> None:
        """One answered request, such as ("etsi014", "enc_keys", 200, 0.0004). Names must come from a fixed set."""
        key = (interface, call, code)
        if key not in self._observed:  # the lookup by label costs more than the rest
            count = self._requests.labels(interface, call, str(code))
            self._observed[key] = count, self._latency.labels(interface, call)
        count, latency = self._observed[key]
        count.inc()
        latency.observe(duration_s)

    def measured(self, service: KeyService, interface: str) -> KeyService:
        """The same service, with every request counted and timed."""
        return MeasuredKeyService(service, interface, self.request, self._clock)

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Around one commit; one that raises is timed and counted too."""
        started = self._clock()
        try:
            yield
        finally:
            self._commits.inc()
            self._commit_duration.observe(self._clock() - started)

    def render(self, view: NetworkView) -> bytes:
        """Everything in the Prometheus text format (`CONTENT_TYPE`)."""
        return generate_latest(self._registry) + generate_latest(_Snapshot(view))


class _Snapshot(CollectorRegistry):
    """The state of one moment; made anew for each scrape, so that nothing outlives the link that it speaks of."""

    def __init__(self, view: NetworkView) -> None:
        super().__init__()
        self._view = view

    def collect(self) -> Iterator[Metric]:
        yield from _links(self._view.links())
        yield from _streams(self._view.streams())
        yield from _peers(self._view.peers())


def _links(links: Iterable[Mapping[str, Any]]) -> tuple[Metric, ...]:
    labels = ("link", "peer", "kind")
    sbr = GaugeMetricFamily("keyhop_link_sbr_bps", "Secret bits per second.", labels=labels)
    qber = GaugeMetricFamily("keyhop_link_qber", "Quantum bit error rate, a fraction.", labels=labels)
    generating = GaugeMetricFamily("keyhop_link_generating", "1 while the link generates key.", labels=labels)
    blocks = CounterMetricFamily("keyhop_link_blocks", "Blocks that the link has produced.", labels=labels)
    for link in links:
        values = (link["id"], link["peer"], link["kind"])
        sbr.add_metric(values, link["sbr_bps"])
        generating.add_metric(values, float(link["state"] == "generating"))
        blocks.add_metric(values, link["blocks"])
        if link["qber"] is not None:
            qber.add_metric(values, link["qber"])
    return sbr, qber, generating, blocks


def _streams(streams: Iterable[Mapping[str, Any]]) -> tuple[Metric, ...]:
    labels = ("owner", "follower", "role")
    size = GaugeMetricFamily("keyhop_stream_bytes", "Stream bytes by account.", labels=(*labels, "account"))
    epoch = GaugeMetricFamily("keyhop_stream_epoch", "The stream's epoch.", labels=labels)
    balanced = GaugeMetricFamily("keyhop_stream_balanced", "1 while the ledger balances.", labels=labels)
    for stream in streams:
        values = (stream["owner"], stream["follower"], stream["role"])
        for account in ACCOUNTS:
            size.add_metric((*values, account), stream[account])
        epoch.add_metric(values, stream["epoch"])
        balanced.add_metric(values, float(stream["balanced"]))
    return size, epoch, balanced


def _peers(peers: Iterable[Mapping[str, Any]]) -> tuple[Metric, ...]:
    connected = GaugeMetricFamily("keyhop_peer_connected", "1 while connected.", labels=("peer",))
    synchronised = GaugeMetricFamily("keyhop_peer_synchronised", "1 while in step.", labels=("peer",))
    for peer in peers:
        connected.add_metric((peer["id"],), float(peer["connected"]))
        synchronised.add_metric((peer["id"],), float(peer["synchronised"]))
    return connected, synchronised
