"""The state that an operator sees, and which events are worth an alarm."""

from keyhop.link.adapter import LinkEvent, LinkState


class Condition:
    """Starting, generating, or stopped with a reason, and until when.

    A link that stopped generates again when the test basis of a new run is fine; but one whose rounds yielded nothing,
    or were spoilt, or whose test basis was not fine, only when one yields a key, whatever else stops it meanwhile.
    """

    def __init__(self) -> None:
        self.state: LinkState = "starting"
        self.reason: str | None = None
        self.kind = ""
        self.qber: float | None = None
        """The last that was measured of what it stopped for, a fraction; None when it did not stop for errors."""
        self._needs_key = False
        self._events: list[LinkEvent] = []

    def starting(self, reason: str | None) -> None:
        """Not yet generating, for a reason that is no failure."""
        self.state, self.reason, self.kind, self.qber = "starting", reason, "", None

    def stopped(
        self,
        kind: str,
        reason: str,
        *,
        alarm: bool = False,
        needs_key: bool = False,
        refresh: bool = False,
        qber: float | None = None,
    ) -> None:
        """Generates nothing. Of failures of one kind in a row the first reason stays, unless it is to `refresh`: each
        change is logged. `qber`, where it is known: it stays until another is, or the link goes on."""
        self.qber = self.qber if qber is None else qber
        self._needs_key = self._needs_key or needs_key
        if self.state == "stopped" and kind == self.kind:
            self.reason = reason if refresh else self.reason
            return
        if (self.kind, kind) == ("interference", "away"):
            return  # each interference looks like that
        if alarm and kind != self.kind:
            self._events.append(LinkEvent(alarm=True, text=reason))
        self.state, self.reason, self.kind = "stopped", reason, kind

    @property
    def needs_key(self) -> bool:
        """Whether only a key shows that this link works again."""
        return self._needs_key

    def sample_is_fine(self) -> None:
        """The error rate of the test basis is low."""
        if not self._needs_key:
            self.recovered()

    def recovered(self) -> None:
        """A round yielded a key."""
        self.state, self.reason, self.kind, self.qber = "generating", None, "", None
        self._needs_key = False

    def events(self) -> list[LinkEvent]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events
