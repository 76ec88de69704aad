"""What can be configured of links that another maker's devices feed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

Role = Annotated[
    Literal["initiator", "follower"],
    Meta(description="The initiator takes keys from its device; the follower gets its copies. One end each."),
]
BlockBytes = Annotated[int, Meta(ge=128, le=1 << 19, description="Least bytes per block; counts at the initiator.")]
MaxRate = Annotated[
    Annotated[float, Meta(gt=0)] | None,
    Meta(description="Most bits per second to take from the device; counts at the initiator. Default: what there is."),
]
Ca = Annotated[Path, Meta(description="Certificates of the authority that signs the device's certificate.")]
Certificate = Annotated[Path, Meta(description="The certificate that this node shows to the device.")]
PrivateKey = Annotated[Path, Meta(description="Its private key; not readable by everybody.")]
MinimumTls = Annotated[Literal["1.2", "1.3"], Meta(description="The oldest TLS version taken.")]
ServerName = Annotated[
    Annotated[str, Meta(min_length=1, max_length=253)] | None,
    Meta(description="The name in the device's certificate, where the address differs."),
]
Timeout = Annotated[float, Meta(gt=0, le=300, description="Seconds that one request may take in all.")]


@dataclass(frozen=True, slots=True)
class Etsi014Options:
    """Keys from any vendor's KME through ETSI GS QKD 014, whose SAE this node is.

    The initiator calls enc_keys at its KME for the far end's SAE; the far end calls dec_keys at its own.
    """

    role: Role
    base_url: Annotated[
        str,
        Meta(
            pattern="^https://[^/?#@ ]+(/[^?# ]*)?$",
            description="The vendor's KME of this site; `/api/v1/keys` follows it.",
        ),
    ]
    peer_sae_id: Annotated[
        str, Meta(min_length=1, max_length=64, description="The SAE ID that the far end's node has at the vendor.")
    ]
    ca: Ca
    certificate: Certificate
    key: PrivateKey
    minimum_tls: MinimumTls = "1.2"
    server_name: ServerName = None
    method: Annotated[
        Literal["POST", "GET"], Meta(description="How to ask for keys. With GET copies are fetched one by one.")
    ] = "POST"
    size_bits: Annotated[
        Annotated[int, Meta(ge=64, le=65_536, multiple_of=8)] | None,
        Meta(description="Size of a key. Default: the KME's own default."),
    ] = None
    max_keys_per_request: Annotated[
        int, Meta(ge=1, le=1024, description="Most keys in one request; less if the KME says so.")
    ] = 128
    block_bytes: BlockBytes = 8192
    max_rate_bps: MaxRate = None
    timeout_s: Timeout = 10.0


@dataclass(frozen=True, slots=True)
class FilesOptions:
    """Keys from files that a device writes into a directory, under the same names at both ends.

    A file counts once its name is final: `.part`, `.tmp` and names that begin with a dot are not looked at.
    """

    role: Role
    directory: Annotated[Path, Meta(description="Where the device writes; nobody else may be able to.")]
    pattern: Annotated[
        str, Meta(min_length=1, max_length=128, description="Names of key files, as shell patterns; the same at both.")
    ] = "*.key"
    format: Annotated[Literal["raw", "hex", "base64"], Meta(description="How bytes stand in a file.")] = "raw"
    device_user: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(description="Who writes the files, if it is not the user of the node."),
    ] = None
    settle_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="Seconds that a file must not have changed, where devices cannot rename; 0: names are final.",
        ),
    ] = 0.0
    wait_s: Annotated[
        float, Meta(ge=0, le=300, description="Seconds that the follower waits for a file that it is told of.")
    ] = 5.0
    unmatched_s: Annotated[
        float,
        Meta(ge=10, le=31_536_000, description="Seconds after which a file that one end only has is removed."),
    ] = 3600.0
    after_use: Annotated[
        Literal["erase", "move"], Meta(description="What becomes of used files: erased, or moved to `used` in there.")
    ] = "erase"
    max_file_bytes: Annotated[int, Meta(ge=16, le=1 << 19, description="Larger files are refused.")] = 65_536
    block_bytes: BlockBytes = 8192
    max_rate_bps: MaxRate = None


@dataclass(frozen=True, slots=True)
class Etsi004Options:
    """Keys from a key stream of ETSI GS QKD 004, over TLS.

    The standard has no wire format; this is the one of ETSI's open implementation, `c`, or of its port, `python`.
    """

    role: Role
    address: Annotated[str, Meta(description="The device's key manager of this site, host:port.")]
    source: Annotated[str, Meta(min_length=1, max_length=255, description="URI of this end's application.")]
    destination: Annotated[str, Meta(min_length=1, max_length=255, description="URI of the far end's application.")]
    ca: Ca
    certificate: Certificate
    key: PrivateKey
    minimum_tls: MinimumTls = "1.2"
    server_name: ServerName = None
    dialect: Annotated[
        Literal["c", "python"],
        Meta(description="`c`: the media type ends with a NUL, metadata buffers are sent; `python`: 256 bytes, sizes."),
    ] = "c"
    chunk_bytes: Annotated[
        int, Meta(ge=32, le=65_536, description="Key_chunk_size: bytes of one GET_KEY, if the device agrees.")
    ] = 512
    max_bps: Annotated[int, Meta(ge=1, le=4_294_967_295, description="Max_bps to ask for.")] = 1_000_000
    min_bps: Annotated[int, Meta(ge=0, le=4_294_967_295, description="Min_bps to ask for.")] = 0
    ttl_s: Annotated[int, Meta(ge=1, le=4_294_967_295, description="TTL to ask for.")] = 3600
    block_bytes: BlockBytes = 8192
    max_rate_bps: MaxRate = None
    timeout_s: Timeout = 10.0
