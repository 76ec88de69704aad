"""What an end of a BB84 link wants done; its shell does it, in order."""

from dataclasses import dataclass, field

from keyhop.link.adapter import LinkBlock, LinkEvent


@dataclass(frozen=True, slots=True)
class Send:
    """A message for the far end."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Remember:
    """The pool of authentication keys: nothing that comes after this may be done before it is durable."""

    pool: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deliver:
    """A block that is finished."""

    block: LinkBlock


@dataclass(frozen=True, slots=True)
class Report:
    """For the activity log."""

    event: LinkEvent


type Command = Send | Remember | Deliver | Report
