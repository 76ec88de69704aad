"""Those who wait until keys are no longer under way."""

from collections.abc import Callable, Iterable


class Waiting:
    """Tells each of them once."""

    def __init__(self) -> None:
        self._those: list[tuple[set[bytes], Callable[[], None]]] = []

    def for_keys(self, missing: set[bytes], then: Callable[[], None]) -> None:
        """Calls `then` when all of them are settled; at once when there are none."""
        if missing:
            self._those.append((set(missing), then))
        else:
            then()

    def settled(self, ids: Iterable[bytes]) -> None:
        """These keys are under way no longer."""
        done = set(ids)
        those, self._those = self._those, []
        for missing, then in those:
            self.for_keys(missing - done, then)
