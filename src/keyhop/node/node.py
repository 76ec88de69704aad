"""A Node: store, journal, pairs, links, delivery and their servers, wired into one KME."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import structlog

from keyhop.core.audit import event_record
from keyhop.core.clock import Clock, SteadyClock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.watched import watched
from keyhop.core.witness.file import FileWitness
from keyhop.network.connections import Connections, PeerAddress
from keyhop.node.address import host_and_port
from keyhop.node.audit_log import Anchors, open_audit_log
from keyhop.node.commits import Commits
from keyhop.node.config import NodeConfig
from keyhop.node.config.rules import check_ids
from keyhop.node.copies import CopyWatch, tell_of_store
from keyhop.node.credentials import credentials_of
from keyhop.node.desk import Desk
from keyhop.node.from_config import connection_limits, kme_options, open_store, psks, sae_directory
from keyhop.node.listening import listen, listen_for_peers, listen_privately
from keyhop.node.measured import MeasuredService
from keyhop.node.network_state import NetworkState
from keyhop.node.node_gateway import NodeGateway
from keyhop.node.node_link import SAMPLE_S
from keyhop.node.node_links import NodeLinks, forget_what_adapters_kept
from keyhop.node.reloading import taken_over
from keyhop.node.telemetry import Metrics, configure_logging
from keyhop.service.etsi014.server import Etsi014Server
from keyhop.service.kme import Kme
from keyhop.service.kme_options import OtherDomains

TICK_S = 0.1
CERTIFICATE_CHECK_S = 5.0
DRAIN_S = 5.0

_log = structlog.get_logger(__name__)


class Node:
    """One KME. `on_failure` is called if its store fails, and it gives out nothing more, or if a part of it ends."""

    def __init__(self, config: NodeConfig, clock: Clock, entropy: Entropy, on_failure: Callable[[], None]) -> None:
        self.config = config
        self.id = config.node.id
        self._clock = SteadyClock(clock)  # keys have their ages by it, certificates theirs by the machine's
        self._on_failure = on_failure
        self._commits = Commits(self._clock, asyncio.get_running_loop(), self._committed, on_failure)
        self.store = open_store(config)
        self._audit = open_audit_log(config, clock)
        self._anchors = Anchors(self._audit, clock)
        self.directory = sae_directory(config)
        self._gateway = NodeGateway(config, clock)
        peers = [kme.id for kme in config.kmes]
        keeper = FileWitness(config.store.witness) if config.store.witness else None
        self.kme = Kme(
            self.id,
            peers,
            {link.peer for link in config.links},
            self._home,
            self.store,
            self._audit,
            self._clock,
            entropy,
            self._commits.wake,
            kme_options(config, self.directory, self.id),
            keeper,
            psks(config),
            OtherDomains(self._gateway.joints, self._is_foreign, self._gateway.make, self._is_per_domain),
        )
        self._gateway.attach(self.kme.gateway)
        self.kme.open(partial(forget_what_adapters_kept, config, self.kme, self.store))
        tell_of_store(self.kme, config)
        self._copies = CopyWatch(self.kme)
        self._commits.attach(self.kme)
        self.credentials = credentials_of(config, clock)
        self._links = NodeLinks(config, self.kme, self.store, self._clock, clock, entropy)
        network = NetworkState(self.kme, self._links, self._gateway, self._audit)
        self._metrics = Metrics(network, version=version("keyhop"), restored=self.kme.restored is not None)
        for what, expiry in self.credentials.expiries.items():
            self._metrics.expires(what, expiry)
        self.desk = Desk(
            self.id,
            clock.wall(),
            self.kme,
            self._links,
            network,
            self.credentials,
            self._metrics,
            lab=config.node.lab,
        )
        self._connections = Connections(
            self.id,
            self.kme.peers,
            {kme.id: PeerAddress(*host_and_port(kme.peer_address, "peer_address")) for kme in config.kmes},
            self.credentials.peers,
            clock,
            entropy,
            partial(self._part_ended, "peers"),
        )
        self._server: Etsi014Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Opens everything, the SAEs' door last. Raises ConfigurationError for an address that cannot be had."""
        self.credentials.refresh()
        self.kme.journal.record(event_record("started", version=version("keyhop"), pid=os.getpid()))
        listener = listen(self.config.etsi014.listen)
        listen_for_peers(self._connections, self.config)
        self._connections.start()
        await self._links.start()
        self._server = Etsi014Server(
            MeasuredService(self.kme.delivery, "etsi014", self._metrics, self._clock),
            sae_directory(self.config, self.id),
            self.credentials.etsi014,
            listener,
            proxied=self._listen_for_proxy(),
            limits=connection_limits(self.config),
            is_revoked=self.credentials.has_ended,
            on_refused=partial(self._metrics.refused_connection, "etsi014"),
            on_failure=partial(self._part_ended, "etsi014"),
        )
        self._metrics.connections("etsi014", self._server.count)
        await self._server.start()
        self._gateway.start()
        works = {"clock": self._tick(), "certificates": self._follow_certificates()}
        self._tasks = [watched(work, partial(self._part_ended, part)) for part, work in works.items()]
        _log.info("node started", kme=self.id, etsi014=self.config.etsi014.listen, peers=self.config.peers.listen)

    async def stop(self) -> None:
        """Answers what is under way, voids what is left of the leases at both ends, closes the store."""
        await self._links.close()
        if self._server is not None:
            await self._server.stop(DRAIN_S)
            if self.config.etsi014.proxy_socket is not None:
                self.config.etsi014.proxy_socket.unlink(missing_ok=True)
        await self._gateway.stop(DRAIN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreFailure):
            self.kme.seal()
            self.kme.journal.record(event_record("stopped"))
        self._commits.last()
        await self._connections.stop()
        self.kme.journal.on_failure.clear()
        self.kme.journal.fail(StoreFailure("the node has stopped"))  # what peers said since the flush is not noted
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
        config, waiting = taken_over(self.config, config)  # who is served where follows from them too
        check_ids(config)  # of what is new beside what stays
        directory = sae_directory(config)
        options = kme_options(config, directory, self.id)
        self.credentials.renew()
        self._gateway.renew()
        self._check_certificates()
        self.directory = directory
        self.kme.reconfigure(options)
        if self._server is not None:
            self._server.replace_directory(sae_directory(config, self.id))
        if waiting:
            _log.warning("these sections change only with a restart", sections=waiting)
        configure_logging(config.log.level, config.log.format)
        self.config = config
        _log.info("configuration reloaded")

    def _home(self, sae: SaeId) -> KmeId | None:
        return self.directory.kme_of(sae)

    def _is_foreign(self, sae: SaeId) -> bool:
        return self.directory.is_foreign(sae)

    def _is_per_domain(self, sae: SaeId) -> bool:
        return self.directory.is_per_domain(sae)

    def _listen_for_proxy(self) -> socket.socket | None:
        section = self.config.etsi014
        if section.proxy_socket is None:
            return None
        return listen_privately(section.proxy_socket, section.proxy_socket_group)

    def _committed(self, took_s: float) -> None:
        self._metrics.store_commit(took_s)

    def _part_ended(self, part: str, error: Exception) -> None:
        """A node that no longer follows its clock or certificates, or has no more peers or SAEs, shall not go on."""
        _log.critical("the node stops", part=part, exc_info=error)
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
                    self._links.sample()

    async def _follow_certificates(self) -> None:
        while True:
            await asyncio.sleep(CERTIFICATE_CHECK_S)
            self._check_certificates()

    def _check_certificates(self) -> None:
        self.credentials.refresh()
        self._gateway.refresh()
        if self._server is not None:
            self._server.context = self.credentials.etsi014
        closed = self._connections.close_revoked(self.credentials.has_ended)
        if self._server is not None:
            closed += self._server.close_revoked(self.credentials.has_ended)
        if closed:
            _log.warning("connections closed: their certificates are revoked or expired", connections=closed)
