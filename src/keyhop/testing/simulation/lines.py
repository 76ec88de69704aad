"""One end of a connection between two machines, as `network.lines` uses it."""

from collections.abc import Callable, Sequence


class SimulatedLine:
    """A `Line`; `number` is the same at both ends. `ended` is told that this end has had enough of it."""

    def __init__(
        self,
        number: int,
        generation: int | None,
        *,
        dialled: bool,
        opened_at: float,
        send: Callable[[int, bytes], None],
        hear: Callable[["SimulatedLine", Sequence[bytes]], None],
        ended: Callable[["SimulatedLine"], None],
    ) -> None:
        self.number = number
        self.generation = generation
        self.dialled = dialled
        self.last_heard = opened_at
        self._send = send
        self._hear = hear
        self._ended = ended

    def send(self, message: bytes) -> None:
        self._send(self.number, message)

    def hear(self, frames: Sequence[bytes]) -> None:
        self._hear(self, frames)

    def close(self) -> None:
        self._ended(self)

    def abort(self) -> None:
        self._ended(self)
