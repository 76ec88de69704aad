"""The node's connections to KMSs of other domains: a server for all of them, a client for each."""

import socket

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.node.config import NodeConfig
from keyhop.node.kms_credentials import KmsCredentials
from keyhop.node.listening import listen
from keyhop.node.state import GatewayInfo
from keyhop.service.etsi020.calls import Call, Respond
from keyhop.service.etsi020.client import KmsClient
from keyhop.service.etsi020.interchange import Interchange
from keyhop.service.etsi020.server import KmsServer
from keyhop.service.gateway import Gateway, Joint


class NodeGateway:
    """Idle in a node without `[[gateways]]`. Raises ConfigurationError when a file cannot be used."""

    def __init__(self, config: NodeConfig, clock: Clock) -> None:
        self._sections = {section.id: section for section in config.gateways}
        self._listen = config.etsi020.listen
        self._credentials = KmsCredentials(config, clock) if config.gateways else None
        self._clients: dict[KmeId, KmsClient] = {}
        self._server: KmsServer | None = None
        self._gateway: Gateway

    @property
    def joints(self) -> tuple[Joint, ...]:
        """The other KMSs, as the service knows them."""
        return tuple(section.joint() for section in self._sections.values())

    def make(self, kms: KmeId, call: Call) -> None:
        """Makes a call to another KMS."""
        client = self._clients.get(kms)
        if client is None:  # not started yet, or stopped
            call.answered(None)
        else:
            client.make(call)

    def attach(self, gateway: Gateway) -> None:
        """Once: the state machine behind it."""
        self._gateway = gateway

    def start(self) -> None:
        """Raises ConfigurationError for an address that cannot be had."""
        if self._credentials is None or self._listen is None:
            return
        for kms, section in self._sections.items():
            self._clients[kms] = KmsClient(section.url, self._credentials.client(kms), section.timeout_s)
        listener: socket.socket = listen(self._listen)
        self._server = KmsServer(listener, self._credentials.server, self._credentials.identify, self._handle)
        self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Answers what is under way, and gives up our own calls."""
        if self._server is not None:
            await self._server.stop(grace_s)
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    def refresh(self) -> None:
        """Follows the revocation lists."""
        if self._credentials is not None:
            self._credentials.refresh()

    def renew(self) -> None:
        """Takes our certificate from its file again. Raises ConfigurationError."""
        if self._credentials is not None:
            self._credentials.renew()

    def connections(self) -> int:
        """How many other KMSs have opened to us."""
        return self._server.connections if self._server else 0

    def infos(self) -> list[GatewayInfo]:
        """GET /v1/gateways."""
        return [self._info(interchange) for interchange in self._gateway]

    def _info(self, interchange: Interchange) -> GatewayInfo:
        other = interchange.other
        counts: dict[str, dict[str, int]] = {"sent": {}, "received": {}}
        for way, outcome, keys in interchange.accounts:
            counts[way][outcome] = keys
        return GatewayInfo(
            id=other.id,
            url=self._sections[other.id].url,
            edition=other.edition,
            reachable=interchange.reachable,
            trouble=interchange.trouble,
            versions=list(interchange.versions.versions) if interchange.versions else [],
            acknowledgements=len(interchange.acknowledgements),
            voids=len(interchange.voiding),
            sent=counts["sent"],
            received=counts["received"],
        )

    def _handle(self, kms: KmeId, method: str, path: str, body: bytes, respond: Respond) -> None:
        self._gateway[kms].handle(method, path, body, respond)
