"""node.toml as typed, checked dataclasses. What each field says of itself becomes docs/reference/configuration.md.

`[policy]` is in `policy`, `[relay]` in `relay`, other domains in `gateways`. What the dataclasses
cannot say by type stands in `rules`; how TOML becomes dataclasses, in `tables`.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from keyhop.audit.log import AuditOptions
from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.core.priority import MAX_PRIORITY, USUAL_PRIORITY
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.rate import RateOptions
from keyhop.link.vendors.settings import Etsi004Options, Etsi014Options, FilesOptions
from keyhop.node.config import rules
from keyhop.node.config.gateways import Etsi020Section, ForeignSaesSection, GatewaySection
from keyhop.node.config.policy import PolicySection
from keyhop.node.config.relay import RelaySection
from keyhop.node.config.tables import table_to
from keyhop.service.identity import SaeEntry

MAX_FILE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class NodeSection:
    """This node."""

    id: Annotated[KmeId, Meta(description="The KME's ID; also the subject CN of its certificate.")]
    data_dir: Annotated[Path, Meta(description="Where the node keeps what must survive.")] = Path("data")
    lab: Annotated[bool, Meta(description="Allow kinds of link that have no physics.")] = False


@dataclass(frozen=True, slots=True)
class TlsSection:
    """The PEM files of the node, for SAEs and for other nodes."""

    ca: Annotated[Path, Meta(description="Certificates of the authority that signs nodes and SAEs.")]
    certificate: Annotated[Path, Meta(description="This node's certificate.")]
    key: Annotated[Path, Meta(description="This node's private key.")]
    crl: Annotated[Path | None, Meta(description="The authority's revocation list, read again when it changes.")] = None


@dataclass(frozen=True, slots=True)
class Etsi014Section:
    """The ETSI GS QKD 014 interface, for SAEs."""

    listen: Annotated[str, Meta(description="Address for SAEs, host:port.")] = "127.0.0.1:8443"
    minimum_tls: Annotated[Literal["1.2", "1.3"], Meta(description="The oldest TLS version taken.")] = "1.2"
    max_connections: Annotated[int, Meta(ge=1, le=100_000, description="Open connections, of all SAEs.")] = 1024
    max_connections_per_sae: Annotated[int, Meta(ge=1, le=100_000, description="Open connections of one SAE.")] = 128
    handshake_timeout_s: Annotated[float, Meta(gt=0, le=300, description="Seconds for a TLS handshake.")] = 10.0
    request_timeout_s: Annotated[float, Meta(gt=0, le=300, description="Seconds for a whole request to arrive.")] = 10.0
    idle_timeout_s: Annotated[float, Meta(gt=0, le=86_400, description="Seconds that a connection may be idle.")] = 60.0
    handshake_share: Annotated[
        float, Meta(ge=0.01, le=1, description="Most of one core that TLS handshakes may take, whoever asks for them.")
    ] = 1.0
    session_tickets: Annotated[
        int,
        Meta(
            ge=0,
            le=2,
            description="TLS session tickets per connection. Each costs time in every handshake, and pays only for "
            "SAEs that connect again and again instead of keeping a connection.",
        ),
    ] = 0
    proxy_socket: Annotated[
        Path | None,
        Meta(description="Unix socket for a TLS off-loader of this machine, which is trusted to say who the SAE is."),
    ] = None
    proxy_socket_group: Annotated[
        str | None, Meta(description="The group that may connect to `proxy_socket`. Default: only the node's own user.")
    ] = None


@dataclass(frozen=True, slots=True)
class ManagementSection:
    """The management API: plain HTTP, without authentication."""

    listen: Annotated[
        str, Meta(description="Address, host:port; keep it on loopback or on a network for management only.")
    ] = "127.0.0.1:8444"


@dataclass(frozen=True, slots=True)
class PeersSection:
    """Connections from other nodes."""

    listen: Annotated[
        str,
        Meta(description="Address for nodes with certificates, host:port. Unused when all have a `psk_file`."),
    ] = "127.0.0.1:8445"
    psk_listen: Annotated[
        str | None, Meta(description="Address for nodes with a `psk_file` whose IDs come before this one's, host:port.")
    ] = None
    psk_refresh_s: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="Seconds until the key of a node with a `psk_file` is replaced by one from the key streams. "
            "The node whose ID comes first decides.",
        ),
    ] = 3600.0


@dataclass(frozen=True, slots=True)
class StoreSection:
    """Where key streams are kept."""

    kind: Annotated[
        Literal["sqlite", "memory"],
        Meta(description="`sqlite` keeps keys in data_dir; `memory` loses them when the node ends."),
    ] = "sqlite"
    key_file: Annotated[
        Path | None,
        Meta(
            description="32 random bytes in hex that encrypt the store; made with mode 0600 when missing. "
            "Default: store.key in data_dir."
        ),
    ] = None
    witness: Annotated[
        Path | None,
        Meta(
            description="A small file outside data_dir, and outside every backup of it, by which the node finds out "
            "at its start that its store is an old copy. Made when missing. Without it only a peer can tell."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class AuditSection:
    """The audit log: who got which key IDs. The node gives out no key that it cannot write down."""

    directory: Annotated[
        Path | None, Meta(description="Where its files are; one node's only. Default: audit in data_dir.")
    ] = None
    sync: Annotated[
        bool,
        Meta(
            description="Bring each write to the disk before its keys leave, so that not even a power cut loses a "
            "record. Without it, a crash of the node loses none, one of the machine the last seconds."
        ),
    ] = False
    rotate_bytes: Annotated[int, Meta(ge=4096, le=1 << 40, description="A new file begins when one has this size.")] = (
        67_108_864
    )
    keep_files: Annotated[
        int, Meta(ge=0, le=10_000_000, description="How many files to keep; older ones are deleted. 0: all.")
    ] = 0

    def options(self) -> AuditOptions:
        """As the log knows it."""
        return AuditOptions(self.sync, self.rotate_bytes, self.keep_files)


@dataclass(frozen=True, slots=True)
class LogSection:
    """What the node writes on stderr."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="The least that is logged.")] = (
        "info"
    )
    format: Annotated[Literal["json", "console"], Meta(description="One JSON object per line, or text.")] = "json"


@dataclass(frozen=True, slots=True)
class KmeSection:
    """Another KME."""

    id: Annotated[KmeId, Meta(description="Its ID; also the subject CN of its certificate.")]
    peer_address: Annotated[
        str,
        Meta(description="Where its node takes connections of nodes, host:port: its `listen`, or its `psk_listen`."),
    ]
    psk_file: Annotated[
        Path | None,
        Meta(
            description="The pre-shared key (PSK) that authenticates it instead of certificates: 32 bytes or more in "
            "hex, the same at both nodes, and for no others. It counts until it is refreshed for the first time."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SaeSection:
    """An SAE of the network, here or elsewhere, and at most one mark that tells its certificate."""

    id: Annotated[SaeId, Meta(description="The SAE's ID.")]
    kme: Annotated[KmeId, Meta(description="The KME that serves it.")]
    subject_cn: Annotated[
        str | None, Meta(description="Subject CN of its certificate. Default: the ID, when no mark is given.")
    ] = None
    san_uri: Annotated[str | None, Meta(description="A URI among its certificate's alternative names.")] = None
    fingerprint_sha256: Annotated[str | None, Meta(description="SHA-256 of its certificate, in hex.")] = None

    def entry(self) -> SaeEntry:
        """As the service knows it."""
        return SaeEntry(self.id, self.kme, self.subject_cn, self.san_uri, self.fingerprint_sha256)


@dataclass(frozen=True, slots=True)
class LinkSection:
    """A QKD link of this node. The options of its kind stand in the same table."""

    id: Annotated[LinkId, Meta(description="The link's ID, the same at both ends.")]
    peer: Annotated[KmeId, Meta(description="The KME at the other end.")]
    kind: Annotated[str, Meta(description="What makes the keys: one of the kinds below.")]
    options: RateOptions | Bb84Options | Etsi014Options | Etsi004Options | FilesOptions
    priority: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_PRIORITY,
            description="For relay: a link of the next lower priority counts as twice as long. Of the priorities that "
            "its two ends give it the lower one counts.",
        ),
    ] = USUAL_PRIORITY


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A whole node.toml; all paths are absolute."""

    node: NodeSection
    tls: TlsSection
    etsi014: Etsi014Section = field(default_factory=Etsi014Section)
    etsi020: Etsi020Section = field(default_factory=Etsi020Section)
    management: ManagementSection = field(default_factory=ManagementSection)
    peers: PeersSection = field(default_factory=PeersSection)
    store: StoreSection = field(default_factory=StoreSection)
    audit: AuditSection = field(default_factory=AuditSection)
    policy: PolicySection = field(default_factory=PolicySection)
    relay: RelaySection = field(default_factory=RelaySection)
    log: LogSection = field(default_factory=LogSection)
    kmes: tuple[KmeSection, ...] = ()
    saes: tuple[SaeSection, ...] = ()
    links: tuple[LinkSection, ...] = ()
    gateways: tuple[GatewaySection, ...] = ()
    foreign_saes: tuple[ForeignSaesSection, ...] = ()

    @property
    def store_file(self) -> Path:
        """The file of the store."""
        return self.node.data_dir / "store.db"

    @property
    def audit_directory(self) -> Path:
        """Where the audit log is."""
        return self.audit.directory or self.node.data_dir / "audit"

    @property
    def store_key_file(self) -> Path:
        """The file of the key that encrypts the store."""
        return self.store.key_file or self.node.data_dir / "store.key"


def load_config(path: Path) -> NodeConfig:
    """The configuration in a file. Raises ConfigurationError; messages begin with the path."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigurationError(f"larger than {MAX_FILE_BYTES} bytes")
        return parse_config(content.decode(), path.absolute().parent)
    except OSError as failure:
        raise ConfigurationError(f"{path}: {failure.strerror}", hint="give the path of a node.toml") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None
    except ConfigurationError as failure:
        raise ConfigurationError(f"{path}: {failure.message}", hint=failure.hint) from None


def parse_config(text: str, directory: Path) -> NodeConfig:
    """The configuration in TOML text; relative paths are taken from `directory`. Raises ConfigurationError."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as failure:
        raise ConfigurationError(f"not TOML: {failure}") from None
    config = table_to(NodeConfig, document, directory)
    rules.check(config)
    return config
