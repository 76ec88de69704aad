"""What can be configured of a BB84 link, and what of that must be the same at both ends."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import LinkId
from keyhop.link.bb84.optics.options import (
    ChannelOptions,
    DetectorOptions,
    SourceOptions,
    check_channel,
    check_detectors,
    check_source,
)

PROTOCOL = 3
"""Ends of different protocols do not talk to each other."""


@dataclass(frozen=True, slots=True)
class Bb84Options:
    """Decoy-state BB84 with all of its post-processing, over a simulated line.

    Such a link needs the extra `keyhop[bb84]`. Its optics are simulated, so it is for labs; source, line and detectors
    have tables of their own: `[links.source]`, `[links.channel]`, `[links.detectors]`. The receiver simulates the line.
    """

    role: Annotated[Literal["transmitter", "receiver"], Meta(description="What this end has; the far end the other.")]
    enrolment_file: Annotated[
        Path, Meta(description="The first authentication keys, the same at both ends: `openssl rand -hex 28688`.")
    ]
    pulses_file: Annotated[
        Path,
        Meta(
            description="What the simulated optics are made from: 32 random bytes in hex, the same at both ends, "
            "readable by the owner only."
        ),
    ]
    method: Annotated[
        Literal["cascade", "ldpc"],
        Meta(description="Error correction: `cascade` discloses least; `ldpc` suits long round trips."),
    ] = "cascade"
    block_bits: Annotated[
        int,
        Meta(ge=10_000, le=40_000_000, description="Sifted bits of the key basis per round; the same at both ends."),
    ] = 4_800_000
    epsilon_secrecy: Annotated[
        float, Meta(ge=1e-20, le=1e-3, description="How far a round's key may be from a perfect one.")
    ] = 1e-10
    epsilon_correctness: Annotated[
        float, Meta(ge=1e-20, le=1e-3, description="How likely a round's keys may differ unnoticed.")
    ] = 1e-15
    max_qber: Annotated[
        float, Meta(gt=0, le=0.11, description="Over this quantum bit error rate, a fraction, the link stops.")
    ] = 0.08
    alignment_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="Seconds after the start that aligning the optics takes."),
    ] = 1.0
    force: Annotated[bool, Meta(description="Run it outside a lab all the same.")] = False
    source: Annotated[SourceOptions, Meta(description="The transmitter's pulses.")] = field(
        default_factory=SourceOptions
    )
    channel: Annotated[ChannelOptions, Meta(description="The line.")] = field(default_factory=ChannelOptions)
    detectors: Annotated[DetectorOptions, Meta(description="The receiver's detectors.")] = field(
        default_factory=DetectorOptions
    )


def check_options(link: LinkId, options: Bb84Options, *, lab: bool) -> None:
    """Whether an end can be made of them. Raises ConfigurationError."""
    if not lab and not options.force:
        raise ConfigurationError(
            f"link {link}: kind 'bb84' has a simulated line and is for labs only",
            hint="set lab = true in [node], or force = true for this link",
        )
    try:
        check_source(options.source)
        check_channel(options.channel)
        check_detectors(options.detectors, options.source)
    except ConfigurationError as failure:
        raise ConfigurationError(f"link {link}: {failure.message}", hint=failure.hint) from None


def agreed_text(options: Bb84Options) -> str:
    """The settings that both ends must share, as JSON."""
    agreed: dict[str, Any] = {
        "protocol": PROTOCOL,
        "method": options.method,
        "block_bits": options.block_bits,
        "epsilon_secrecy": options.epsilon_secrecy,
        "epsilon_correctness": options.epsilon_correctness,
        "max_qber": options.max_qber,
        "detectors.z_probability": options.detectors.z_probability,
        "detectors.dead_time_ns": options.detectors.dead_time_ns,
    }
    agreed |= {f"source.{name}": value for name, value in asdict(options.source).items()}
    return json.dumps(agreed, sort_keys=True)


def differences(ours: str, theirs: str) -> str:
    """The names of the settings in which two texts differ, for people; whatever the far end wrote."""
    try:
        far = json.loads(theirs)
    except (ValueError, RecursionError):
        far = None
    near = json.loads(ours)
    if not isinstance(far, dict):
        return "all of them"
    names = sorted(name for name in near if name not in far or far[name] != near[name])
    return ", ".join(names) if names else "some that this end does not know"
