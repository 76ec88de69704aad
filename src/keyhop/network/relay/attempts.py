"""Records that were announced more than once: their source may send them again, over other paths, when those before did
not bring them in time."""

from keyhop.core.ids import KmeId
from keyhop.network.relay.messages import Announce, RecordsPayload


class Attempts:
    """All announcements of records that wait for their shares, by their batch."""

    def __init__(self) -> None:
        self._announced: dict[tuple[KmeId, bytes], dict[bytes, Announce]] = {}

    def __len__(self) -> int:
        return len(self._announced)

    def add(self, source: KmeId, announce: Announce) -> None:
        """A source announces something."""
        if isinstance(announce.payload, RecordsPayload):
            self._announced.setdefault((source, announce.payload.batch), {})[announce.parcel] = announce

    def drop(self, source: KmeId, announce: Announce) -> None:
        """That parcel is waited for no longer."""
        if isinstance(announce.payload, RecordsPayload):
            of_batch = self._announced[source, announce.payload.batch]
            del of_batch[announce.parcel]
            if not of_batch:
                del self._announced[source, announce.payload.batch]

    def of(self, source: KmeId, payload: RecordsPayload) -> list[Announce]:
        """The announcements of the same records."""
        of_batch = self._announced.get((source, payload.batch), {})
        return [announce for announce in of_batch.values() if announce.payload == payload]
