"""What runs out while the node runs: told in the log ahead of time, and as a reason for not being ready."""

from datetime import UTC, datetime

import structlog

DAY_S = 86_400.0
WARN_DAYS = (30, 7)

_log = structlog.get_logger(__name__)


class Expiry:
    """One date, `not_after` in seconds since 1970. Each warning stands in the log once, until the date moves."""

    def __init__(self, what: str, not_after: float, hint: str) -> None:
        self.what = what
        self._hint = hint
        self._not_after = not_after
        self._told = 0

    @property
    def not_after(self) -> float:
        """When it runs out. A later date that is set starts the warnings anew."""
        return self._not_after

    @not_after.setter
    def not_after(self, moment: float) -> None:
        if moment != self._not_after:
            self._not_after, self._told = moment, 0

    def tell(self, now_s: float) -> None:
        """Logs what was not told yet: a warning for each of `WARN_DAYS`, an error at the end."""
        left_s = self._not_after - now_s
        stage = sum(left_s <= limit for limit in (*(days * DAY_S for days in WARN_DAYS), 0))
        if stage > self._told:
            self._told = stage
            if left_s <= 0:
                _log.error(f"{self.what} expired", expired=_date(self._not_after), hint=self._hint)
            else:
                days = round(left_s / DAY_S, 1)
                _log.warning(f"{self.what} expires soon", expires=_date(self._not_after), days=days, hint=self._hint)

    def trouble(self, now_s: float) -> str | None:
        """For /readyz: `revocation list: expired on 2026-01-31 12:00 UTC`, or None."""
        return f"{self.what}: expired on {_date(self._not_after)}" if now_s >= self._not_after else None


def _date(moment_s: float) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d %H:%M} UTC"
