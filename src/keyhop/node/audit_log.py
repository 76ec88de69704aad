"""The node's audit log: how it is opened, and its last seal in the node's own log now and then.

Logs are often gathered on another machine. There the seals are anchors: whoever rewrites the audit log later
contradicts them (`keyhop audit verify --anchor`).
"""

import structlog

from keyhop.audit.log import AuditLog
from keyhop.core.clock import Clock
from keyhop.node.config import NodeConfig

ANCHOR_S = 600.0
LOOK_S = 1.0

_log = structlog.get_logger(__name__)


def open_audit_log(config: NodeConfig, clock: Clock) -> AuditLog:
    """Goes on with the log that is there, and says what a crash left of it. Raises ConfigurationError."""
    log = AuditLog(config.audit_directory, config.node.id, clock, config.audit.options())
    if left := log.left_unsealed:
        hint = f"keyhop audit verify {config.audit_directory}"
        if left.misfits:
            what = "the end of the audit log was damaged or altered"
            _log.error(what, unsealed_bytes=left.size_bytes, hint=hint)
        else:
            what = "a crash cut the last write of the audit log short"
            _log.warning(what, unsealed_bytes=left.size_bytes, hint=hint)
    return log


class Anchors:
    """Tells the last seal of the audit log, at once and then every ten minutes in which it changed.

    Every second it looks whether the log's file is still there as it was written.
    """

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._audit = log
        self._clock = clock
        self._told: str | None = None
        self._due = self._look_at = clock.monotonic()

    def tick(self) -> None:
        """Time has passed."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            if not self._audit.is_in_place():
                _log.error("somebody moved or altered the file of the audit log", hint="it goes on in a new one")
        if now >= self._due:
            self._due = now + ANCHOR_S
            self.tell()

    def tell(self) -> None:
        """Tells it now, unless it was."""
        if self._audit.head != self._told:
            self._told = self._audit.head
            _log.info("audit log", records=self._audit.records, head=self._audit.head)
