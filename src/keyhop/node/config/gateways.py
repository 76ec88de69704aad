"""The sections of node.toml about other domains: `[etsi020]`, `[[gateways]]` and `[[foreign_saes]]`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from keyhop.core.ids import KmeId
from keyhop.service.etsi020.interchange import Other
from keyhop.service.foreign import ForeignSaes, ForeignWay
from keyhop.service.gateway import Joint

if TYPE_CHECKING:
    from keyhop.node.config.node_config import NodeConfig

_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_Address = Annotated[str, Meta(pattern="^https://[^?#]+$", max_length=1024)]
_SAES = "SAE IDs, or patterns in which `*` stands for anything."
_PerDomain = Annotated[
    bool,
    Meta(
        description="Pairs that may only have keys of a link (`direct_only`), or such as come over several disjoint "
        "paths, may share keys with these SAEs: it holds in each domain by itself, and the gateways know the keys."
    ),
]


@dataclass(frozen=True, slots=True)
class Etsi020Section:
    """The ETSI GS QKD 020 interface, for KMSs of other domains. Only a node with `[[gateways]]` needs it."""

    listen: Annotated[str | None, Meta(description="Address for other KMSs, host:port.")] = None
    certificate: Annotated[
        Path | None, Meta(description="What this node shows to other KMSs. Default: the certificate of `[tls]`.")
    ] = None
    key: Annotated[Path | None, Meta(description="Its private key. Default: the key of `[tls]`.")] = None


@dataclass(frozen=True, slots=True)
class GatewaySection:
    """A KMS of another domain that this node hands keys over to, and takes keys from."""

    id: Annotated[KmeId, Meta(description="A name for it, unlike that of any KME here.")]
    url: Annotated[
        str, Meta(pattern="^https://[^?#]+$", max_length=1024, description="Where it is, https://host:port.")
    ]
    callback_url: Annotated[
        str,
        Meta(
            pattern="^https://[^#]+$",
            max_length=1024,
            description="Where it reaches `[etsi020] listen`, with the path: https://host:port/kmapi/v1/ext_keys/ack.",
        ),
    ]
    saes: Annotated[tuple[_Name, ...], Meta(min_length=1, max_length=10_000, description=f"Those behind it: {_SAES}")]
    ca: Annotated[Path, Meta(description="Certificates of the authority that signs it, and of no other KMS's.")]
    subject_cn: Annotated[str | None, Meta(description="Subject CN of its certificate. Default: `id`.")] = None
    crl: Annotated[Path | None, Meta(description="The authority's revocation list, read again when it changes.")] = None
    callback_addresses: Annotated[
        tuple[_Address, ...],
        Meta(
            min_length=0,
            max_length=8,
            description="Where it may want acknowledgements besides `url`, each https://host:port.",
        ),
    ] = ()
    edition: Annotated[
        Literal["1.1.1", "0.5.1"],
        Meta(description="Of ETSI GS QKD 020. `0.5.1` is the draft, of which only asynchronous transfer is used."),
    ] = "1.1.1"
    synchronous: Annotated[
        bool, Meta(description="Hand keys over in synchronous calls, if it says that it can: one call instead of two.")
    ] = False
    timeout_s: Annotated[float, Meta(gt=0, le=300, description="Seconds for each call.")] = 10.0
    remember_s: Annotated[
        float, Meta(ge=60, le=604_800, description="Seconds for which it is remembered what became of a key.")
    ] = 3600.0

    per_domain: _PerDomain = False

    def joint(self) -> Joint:
        """As the service knows it."""
        urls = (self.url, *self.callback_addresses)
        other = Other(self.id, urls, self.callback_url, self.edition, self.synchronous, self.remember_s)
        return Joint(other, self.saes)


@dataclass(frozen=True, slots=True)
class ForeignSaesSection:
    """SAEs of other domains, and the KME of this domain that leads there: one whose node has them in `[[gateways]]`."""

    kme: Annotated[KmeId, Meta(description="The KME that leads there.")]
    saes: Annotated[tuple[_Name, ...], Meta(min_length=1, max_length=10_000, description=_SAES)]
    per_domain: _PerDomain = False


def foreign_saes(config: "NodeConfig") -> ForeignSaes[ForeignWay]:
    """The SAEs of other domains, and the ways there."""
    ways = [(section.saes, ForeignWay(config.node.id, section.per_domain)) for section in config.gateways]
    ways += [(section.saes, ForeignWay(section.kme, section.per_domain)) for section in config.foreign_saes]
    return ForeignSaes((name, way) for names, way in ways for name in names)
