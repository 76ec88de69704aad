"""How much comes into an owned stream and goes out of it, and how long what is there will last."""

from math import exp

from keyhop.core.clock import Clock
from keyhop.core.streams import OwnedStream
from keyhop.core.units import UNIT_BYTES

AVERAGE_S = 20.0
"""The time constant of averages."""
PEAK_S = 60.0
"""The time constant by which a peak is forgotten."""
BURST_S = 5.0
"""The time constant of a peak itself, as long as a low mark lasts (`feeder.water`): one large request raises that mark
by its own size, and not by what many like it would take."""
SAMPLE_S = 0.5
NEVER_S = 30 * 86400.0
"""A stream that lasts longer than that does not run out, as far as anybody can say."""


class Meter:
    """Looks at one stream. Rates are in bytes per second."""

    def __init__(self, stream: OwnedStream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._at = clock.monotonic()
        self._came, self._gone, self._keys = self._books()
        self._missed = self._passed_by = 0
        self.coming = self.going = self.keys = self.missing = 0.0
        """Averages: of what came, of what was used, of what of that SAEs got, and of what they asked for in vain."""
        self._peak = self._burst = 0.0

    def missed(self, size_bytes: int) -> None:
        """Somebody asked for so many, and they were not there."""
        self._missed += size_bytes

    def passed_by(self, size_bytes: int) -> None:
        """Somebody asked for so many, and got them by another way than through the stream."""
        self._passed_by += size_bytes

    @property
    def demand(self) -> float:
        """What SAEs ask for, the peaks of the last minutes with it."""
        return max(self.keys + self.missing, self._peak)

    @property
    def runway_s(self) -> float | None:
        """Seconds until the stream is empty, if all goes on as it does; None when it does not run out."""
        falling = self.going + self.missing - self.coming
        stock = self._stream.stock_units * UNIT_BYTES
        if falling <= 0 or stock > falling * NEVER_S:
            return None
        return stock / falling

    @property
    def satisfied(self) -> float | None:
        """The part of what SAEs asked for that was there; None when nothing was asked for."""
        asked = self.keys + self.missing
        return self.keys / asked if asked else None

    def tick(self) -> None:
        """Time has passed."""
        now = self._clock.monotonic()
        elapsed = now - self._at
        if elapsed < SAMPLE_S:
            return
        came, gone, keys = self._books()
        getting, missing = (keys - self._keys + self._passed_by) / elapsed, self._missed / elapsed
        decay = exp(-elapsed / AVERAGE_S)
        self.coming = _averaged(self.coming, (came - self._came) / elapsed, decay)
        self.going = _averaged(self.going, (gone - self._gone) / elapsed, decay)
        self.keys = _averaged(self.keys, getting, decay)
        self.missing = _averaged(self.missing, missing, decay)
        self._burst = _averaged(self._burst, getting + missing, exp(-elapsed / BURST_S))
        self._peak = max(self._burst, self._peak * exp(-elapsed / PEAK_S))
        self._at, self._came, self._gone, self._keys = now, came, gone, keys
        self._missed = self._passed_by = 0

    def _books(self) -> tuple[int, int, int]:
        """Bytes that came, that were used, and that SAEs got: of a relayed stream pads too, for their records."""
        stream = self._stream
        came, gone = stream.brought_units * UNIT_BYTES, stream.used_units * UNIT_BYTES
        return came, gone, gone if stream.ref.route == "relayed" else stream.ledger.delivered


def _averaged(before: float, now: float, decay: float) -> float:
    average = before * decay + now * (1.0 - decay)
    return average if average >= 1e-3 else 0.0
