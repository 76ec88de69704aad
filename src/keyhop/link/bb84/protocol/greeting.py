"""How the two ends find each other: whoever begins says Hello until the far end's Hello echoes its nonce.

An end has one nonce for each attempt at a run. Nothing here is authenticated: the transcripts of the run begin with
both greetings, so whoever alters one is found out by the first tag.
"""

from dataclasses import dataclass, field

import msgspec

from keyhop.core.entropy import Entropy
from keyhop.core.ids import LinkId
from keyhop.link.bb84.authentication.tag_keys import Role, TagKeys
from keyhop.link.bb84.protocol.messages import NONCE_BYTES, Hello, encode
from keyhop.link.bb84.protocol.run import Run
from keyhop.link.bb84.settings import Bb84Options, agreed_text, differences


@dataclass(slots=True)
class Greeting:
    """One attempt. `heard` is the far end's last greeting."""

    near: Hello
    heard: Hello | None = field(default=None)

    @classmethod
    def new(cls, options: Bb84Options, pool: TagKeys, after: int, entropy: Entropy) -> "Greeting":
        """With a fresh nonce; `after` is the highest sequence that the node remembers."""
        nonce = entropy.token(NONCE_BYTES)
        last = max(after, pool.last_sequence)
        return cls(Hello(nonce, b"", options.role, agreed_text(options), pool.names(), last))

    def hello(self) -> bytes:
        """What to say now."""
        echo = self.heard.nonce if self.heard else b""
        return encode(msgspec.structs.replace(self.near, echo=echo))

    def objection(self, far: Hello) -> str | None:
        """Why there can be no run with an end that greets so."""
        if far.settings != self.near.settings:
            return f"both ends are configured differently: {differences(self.near.settings, far.settings)}"
        if {far.role, self.near.role} != {"transmitter", "receiver"}:
            return f"both ends have the role of the {self.near.role}"
        return None

    def meet(self, link: LinkId, far: Hello) -> Run | None:
        """Takes a greeting without objection; the run, once the far end has heard of this attempt."""
        self.heard = far
        if far.echo != self.near.nonce:
            return None
        role: Role = "transmitter" if self.near.role == "transmitter" else "receiver"
        return Run(link, role, self.near, far)
