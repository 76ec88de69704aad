"""A Node: store, journal, pairs, links, delivery and their servers, wired into one KME."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import structlog

from keyhop.core.audit import event_record
from keyhop.core.clock import Clock, SteadyClock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import LinkError, StoreFailure
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.store.base import KeyStore
from keyhop.core.store.memory import MemoryStore
from keyhop.core.store.sqlite import SqliteStore, check_key_is_not_lost, load_store_key
from keyhop.core.witness.file import FileWitness
from keyhop.link.adapter import Disturbance, LinkBlock
from keyhop.link.registry import make_adapter, memory_of_old_copy
from keyhop.network.pair import PairOptions
from keyhop.network.peer import PeerAddress, Peers
from keyhop.node.address import host_and_port
from keyhop.node.audit_log import Anchors, open_audit_log
from keyhop.node.config import LinkSection, NodeConfig
from keyhop.node.copies import CopyWatch, tell_of_store
from keyhop.node.credentials import credentials_of
from keyhop.node.link_end import StoredMemory, link_end
from keyhop.node.listening import listen, listen_privately, not_bound
from keyhop.node.measured import MeasuredService
from keyhop.node.network_state import NetworkState
from keyhop.node.node_link import SAMPLE_S, NodeLink
from keyhop.node.state import AuditInfo, LinkActivity, LinkInfo, LinkSample, NodeInfo, PeerInfo, StreamInfo
from keyhop.node.telemetry import Metrics, configure_logging
from keyhop.service.etsi014.connection import Limits
from keyhop.service.etsi014.server import Etsi014Server
from keyhop.service.identity import SaeDirectory
from keyhop.service.kme import Kme, KmeOptions
from keyhop.service.policy import sae_pairs

TICK_S = 0.1
CERTIFICATE_CHECK_S = 5.0
DRAIN_S = 5.0
_RESTART_ONLY = ("node", "tls", "etsi014", "management", "peers", "store", "audit", "kmes", "links")

_log = structlog.get_logger(__name__)


class Node:
    """One KME. `on_failure` is called once if its store fails; the node then gives out nothing more."""

    def __init__(self, config: NodeConfig, clock: Clock, entropy: Entropy, on_failure: Callable[[], None]) -> None:
        self.config = config
        self.id = config.node.id
        self._clock = SteadyClock(clock)  # keys have their ages by it, certificates theirs by the machine's
        self._on_failure = on_failure
        self._started_at = clock.wall()
        self._loop = asyncio.get_running_loop()
        self.store = _open_store(config)
        self._audit = open_audit_log(config, clock)
        self._anchors = Anchors(self._audit, clock)
        self.directory = _directory(config)
        peers = [kme.id for kme in config.kmes]
        keeper = FileWitness(config.store.witness) if config.store.witness else None
        self.kme = Kme(
            self.id,
            peers,
            self._home,
            self.store,
            self._audit,
            self._clock,
            entropy,
            self._wake,
            _options(config, self.directory),
            keeper,
        )
        self.kme.open(self._forget_adapters)
        tell_of_store(self.kme, config)
        self._copies = CopyWatch(self.kme)
        self.kme.journal.on_failure.append(self._store_failed)
        self.credentials = credentials_of(config, clock)
        self._links = {link.id: self._link(link, entropy) for link in config.links}
        self.state = NetworkState(self.kme.pairs, self._links, self.kme.journal, self._audit)
        self._metrics = Metrics(self.state, version=version("keyhop"), restored=self.kme.restored is not None)
        for what, expiry in self.credentials.expiries.items():
            self._metrics.expires(what, expiry)
        self._peers = Peers(
            self.id,
            self.kme.pairs,
            {kme.id: PeerAddress(*host_and_port(kme.peer_address, "peer_address")) for kme in config.kmes},
            self.credentials.peer_server,
            self.credentials.peer_client,
            self.credentials.has_ended,
            clock,
        )
        self._server: Etsi014Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Opens everything, the SAEs' door last. Raises ConfigurationError for an address that cannot be had."""
        self.credentials.refresh()
        self.kme.journal.record(event_record("started", version=version("keyhop"), pid=os.getpid()))
        listener = listen(self.config.etsi014.listen)
        try:
            await self._peers.start(*host_and_port(self.config.peers.listen, "listen"))
        except OSError as error:
            raise not_bound(self.config.peers.listen, error) from None
        for link in self._links.values():
            await link.start()
        self._server = Etsi014Server(
            MeasuredService(self.kme.delivery, "etsi014", self._metrics, self._clock),
            _directory(self.config, self.id),
            self.credentials.etsi014,
            listener,
            proxied=self._listen_for_proxy(),
            limits=_limits(self.config),
            is_revoked=self.credentials.has_ended,
            on_refused=partial(self._metrics.refused_connection, "etsi014"),
        )
        self._metrics.connections("etsi014", self._server.count)
        await self._server.start()
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._follow_certificates())]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)
        _log.info("node started", kme=self.id, etsi014=self.config.etsi014.listen, peers=self.config.peers.listen)

    async def stop(self) -> None:
        """Answers what is under way, voids what is left of the leases at both ends, closes the store."""
        for link in self._links.values():
            await link.close()
        if self._server is not None:
            await self._server.stop(DRAIN_S)
            if self.config.etsi014.proxy_socket is not None:
                self.config.etsi014.proxy_socket.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreFailure):
            self.kme.seal()
            self.kme.journal.record(event_record("stopped"))
        self.kme.flush()
        await self._peers.stop()
        if self.kme.witness:
            self.kme.witness.close()
        self.store.close()
        self._audit.close()
        self._anchors.tell()
        _log.info("node stopped", kme=self.id)

    def reload(self, config: NodeConfig) -> None:
        """Takes over what can change while the node runs: SAEs, policy, certificates, logging.

        Raises ConfigurationError.
        """
        directory = _directory(config)
        self.credentials.renew()
        self._check_certificates()
        self.directory = directory
        self.kme.reconfigure(_options(config, directory))
        if self._server is not None:
            self._server.replace_directory(_directory(config, self.id))
        running = {name: getattr(self.config, name) for name in _RESTART_ONLY}
        changed = [name for name, value in running.items() if getattr(config, name) != value]
        if changed:
            _log.warning("these sections change only with a restart", sections=changed)
        configure_logging(config.log.level, config.log.format)
        self.config = replace(config, **running)
        _log.info("configuration reloaded")

    def node(self) -> NodeInfo:
        """GET /v1/node."""
        return NodeInfo(
            self.id,
            version("keyhop"),
            self._started_at,
            os.getpid(),
            witness=self.kme.witness is not None,
            restored=self.kme.restored,
        )

    def links(self) -> list[LinkInfo]:
        """GET /v1/links."""
        return self.state.links()

    def link(self, link: LinkId) -> LinkInfo:
        """GET /v1/links/LINK. KeyError when there is none of that ID, as in what follows."""
        return self._links[link].info()

    def link_series(self, link: LinkId) -> list[LinkSample]:
        """GET /v1/links/LINK/series."""
        return self._links[link].series()

    def link_activity(self, link: LinkId) -> list[LinkActivity]:
        """GET /v1/links/LINK/activity."""
        return self._links[link].activity()

    def link_disturbance(self, link: LinkId) -> Disturbance:
        """GET /v1/links/LINK/disturbance. LinkError when its line is not simulated."""
        return self._links[link].disturbance()

    async def start_link(self, link: LinkId) -> None:
        """POST /v1/links/LINK/start. Raises LinkError."""
        await self._links[link].start()

    async def stop_link(self, link: LinkId) -> None:
        """POST /v1/links/LINK/stop: until it is started, or the node is."""
        await self._links[link].stop()

    def disturb_link(self, link: LinkId, disturbance: Disturbance) -> None:
        """POST /v1/links/LINK/disturbance. LinkError outside a lab, or when its line is not simulated."""
        if not self.config.node.lab:
            raise LinkError("only in a lab: [node] lab is not true")
        self._links[link].disturb(disturbance)

    def streams(self) -> list[StreamInfo]:
        """GET /v1/streams."""
        return self.state.streams()

    def peers(self) -> list[PeerInfo]:
        """GET /v1/peers."""
        return self.state.peers()

    def readiness(self) -> list[str]:
        """GET /readyz."""
        return self.credentials.troubles() + self.state.readiness()

    def audit(self) -> AuditInfo:
        """GET /v1/audit."""
        return self.state.audit()

    def metrics(self) -> bytes:
        """GET /metrics."""
        return self._metrics.render()

    def _home(self, sae: SaeId) -> KmeId | None:
        return self.directory.kme_of(sae)

    def _forget_adapters(self) -> None:
        """The store is an old copy: adapters have used since what they kept in it."""
        for link in self.config.links:
            memory = StoredMemory(link.id, self.store, self.kme.journal)
            saved = memory.load()
            if saved is not None:
                memory.save(memory_of_old_copy(link.kind, saved))

    def _link(self, section: LinkSection, entropy: Entropy) -> NodeLink:
        pair = self.kme.pairs[section.peer]
        link = NodeLink(section.id, section.peer, self._clock, partial(self._link_block, section.id, section.peer))
        end = link_end(section, self.config.node, pair, self.store, self.kme.journal, self._clock, entropy, link.report)
        link.adapter = make_adapter(section.kind, section.options, end)
        return link

    def _link_block(self, link: LinkId, peer: KmeId, block: LinkBlock) -> None:
        if self.kme.journal.failure is None:
            self.kme.pairs[peer].link_block(link, block.sequence, block.material, block.produced_at, block.source)

    def _listen_for_proxy(self) -> socket.socket | None:
        section = self.config.etsi014
        if section.proxy_socket is None:
            return None
        return listen_privately(section.proxy_socket, section.proxy_socket_group)

    def _wake(self) -> None:
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        dirty, since = self.kme.journal.dirty, self._clock.monotonic()
        self.kme.flush()
        if dirty:
            self._metrics.store_commit(self._clock.monotonic() - since)

    def _store_failed(self, failure: StoreFailure) -> None:
        _log.critical("the store failed: the node gives out no more keys and stops", reason=failure.message)
        self.kme.abandon()
        self._on_failure()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A node whose clock or certificates are no longer followed is not one to go on with."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("the node stops", task=task.get_name(), exc_info=error)
            self._on_failure()

    async def _tick(self) -> None:
        sampled_at = self._clock.monotonic()
        while self.kme.journal.failure is None:
            await asyncio.sleep(TICK_S)
            with contextlib.suppress(StoreFailure):
                self.kme.tick()
                self._anchors.tick()
                self._copies.tick()
                if self._clock.monotonic() - sampled_at >= SAMPLE_S:
                    sampled_at = self._clock.monotonic()
                    for link in self._links.values():
                        link.sample()

    async def _follow_certificates(self) -> None:
        while True:
            await asyncio.sleep(CERTIFICATE_CHECK_S)
            self._check_certificates()

    def _check_certificates(self) -> None:
        self.credentials.refresh()
        if self._server is not None:
            self._server.context = self.credentials.etsi014
        closed = self._peers.close_revoked(self.credentials.has_ended)
        if self._server is not None:
            closed += self._server.close_revoked(self.credentials.has_ended)
        if closed:
            _log.warning("connections closed: their certificates are revoked or expired", connections=closed)


def _open_store(config: NodeConfig) -> KeyStore:
    if config.store.kind == "memory":
        return MemoryStore()
    config.node.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_key_is_not_lost(config.store_key_file, config.store_file)
    return SqliteStore(config.store_file, load_store_key(config.store_key_file))


def _directory(config: NodeConfig, kme: KmeId | None = None) -> SaeDirectory:
    """All SAEs of the network, or those of one KME: nobody else may call there."""
    return SaeDirectory(tuple(sae.entry() for sae in config.saes if kme in (None, sae.kme)))


def _options(config: NodeConfig, directory: SaeDirectory) -> KmeOptions:
    policy = config.policy
    pairs = PairOptions(
        policy.stock_bytes, policy.unfetched_bytes, policy.key_lifetime_s, policy.reserved_bytes_per_pair
    )
    limits = tuple(entry.limit() for entry in policy.limits)
    return KmeOptions(policy.policy(), pairs, limits, sae_pairs(policy.policy(), directory.homes, config.node.id))


def _limits(config: NodeConfig) -> Limits:
    section = config.etsi014
    return Limits(
        max_connections=section.max_connections,
        max_connections_per_sae=section.max_connections_per_sae,
        handshake_timeout_s=section.handshake_timeout_s,
        request_timeout_s=section.request_timeout_s,
        idle_timeout_s=section.idle_timeout_s,
        handshake_share=section.handshake_share,
    )
