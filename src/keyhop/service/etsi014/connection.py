"""One connection of an SAE, without I/O: bytes in, bytes out, and time from outside.

Rules, from the point of view of the client:

1. Every request of the connection is of one SAE: that of its certificate.
2. Requests are answered in their order, one under way at a time. While bytes wait behind it, nothing more is read,
   and they are not parsed.
   What is asked is asked in the SAE's turn. When others ask as well, so is everything else that takes long: reading,
   and writing an answer of many keys, or a refusal.
3. A request is RECEIVING from its first byte to its last and has one deadline for that. Between requests the
   connection is idle and has another, whatever else comes. Bytes that the client does not take have a third.
4. What breaks a bound, a deadline or HTTP itself is answered here, in JSON, after the answers that are still
   due; then nothing more is read and the connection closes.
5. A client that says nothing more, in TLS or by the end of its stream, is answered what it has asked for, and no more.

A caller that went away cancels nothing that the service was asked for: its key is spent either way. So its place is
taken until that is answered.
"""

import logging
from collections.abc import Callable
from functools import partial

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import SaeId
from keyhop.service.etsi014.answers import CONTINUE, OURS, Answer, encode_farewell, encode_whatever, is_soon_written
from keyhop.service.etsi014.reading import Call, RequestReader
from keyhop.service.etsi014.surroundings import Limits, Peer, TakingTurns, Wire
from keyhop.service.requests import KeyService

# How long the far end may go on sending after our last byte: to close at once could lose that byte.
LINGER_S = 1.0

_log = logging.getLogger(__name__)


class SaeConnection:
    """See the rules at the top of the file. `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        wire: Wire,
        service: KeyService,
        limits: Limits,
        peer: Peer,
        sae: SaeId | None,
        now: Callable[[], float],
        turns: TakingTurns,
        on_lost: Callable[["SaeConnection"], None],
    ) -> None:
        self.peer = peer
        self.sae = sae
        self._wire = wire
        self._service = service
        self._limits = limits
        self._now = now
        self._turns = turns
        self._on_lost = on_lost
        self._reader = RequestReader(sae)
        self._current: Call | None = None
        self._body = b""
        self._number = 0  # of the current request, so that a reply can only be its own
        self._queued = self._in_turn = self._serving = self._asked = self._gone = False
        self._closing = False
        self._last = self._last_heard = False
        self._farewell = b""
        self._since = now()

    def readable(self) -> None:
        """The client has sent something, which is read in its SAE's turn if others ask as well."""
        if self._queued:
            self._wire.read_on(False)  # until then there is no use in being told again and again
        elif self._turns.is_shared_by(self.sae):
            self._queued = True
            self._turns.enter(self.sae, self._read)
        else:
            self._wire.read()

    def receive(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._closing:
            return
        reader = self._reader
        has_begun = reader.receiving
        reader.feed(data)
        self._serve(in_turn=self._in_turn)
        if reader.receiving and not has_begun:
            self._since = self._now()

    def drained(self) -> None:
        """The client has taken everything that was written."""
        self._since = self._now()
        self._serve()

    def heard_all(self) -> None:
        """The client says nothing more. What it has asked for is answered, if it still listens."""
        self._last_heard = True
        if self._current is not None or self._reader.waiting:
            return
        if self._wire.blocked:
            self._close()
        else:
            self.abort()

    def lost(self) -> None:
        """The wire has ended."""
        self._end_reading()
        self._farewell = b""
        self._current = None
        self._gone = True
        if not self._asked:
            self._on_lost(self)

    def abort(self) -> None:
        """Ends the connection now; answers that are due are lost."""
        if self._gone:
            self._on_lost(self)
        else:
            self._wire.abort()

    def shutdown(self) -> None:
        """Answers the request that is next: under way, waiting, or known by its head. Then closes."""
        if self._gone:
            self._on_lost(self)
            return
        self._last = True
        self._serve()

    def refuse(self, status: int, message: str) -> None:
        """Says so after the answer that is due, and closes."""
        if not self._closing:
            self._end_reading()
            self._farewell = encode_farewell(status, message)
            if self._current is None:
                self._part()

    def check_deadlines(self, now: float) -> None:
        """Called every now and then by the server."""
        limits, age = self._limits, now - self._since
        if self._gone:
            pass
        elif self._wire.blocked:
            if age > limits.write_timeout_s:
                self.abort()
        elif self._current is not None:
            pass  # that takes the time it takes
        elif self._closing:
            if age > LINGER_S:
                self.abort()
        elif self._reader.receiving:
            if age > limits.request_timeout_s:
                self.refuse(400, f"the request was not complete within {limits.request_timeout_s:g} s")
        elif self._wire.untaken():
            if age > limits.write_timeout_s:
                self.abort()
        elif age > limits.idle_timeout_s:
            self._close()

    def _read(self) -> None:
        self._queued = False
        self._wire.read_on(True)
        self._in_turn = True
        self._wire.read()
        self._in_turn = False

    def _serve(self, *, in_turn: bool = False) -> None:
        """Has what waits asked for in its turn, as long as there are answers at once and the client takes them."""
        if self._serving:
            return
        self._serving = True
        while self._current is None and not self._closing and not self._wire.blocked:
            request = self._reader.next()
            if request is None:
                self._settle()
                break
            self._current, self._body = request
            self._number += 1
            if in_turn:
                in_turn = False
                self._ask()
            else:
                self._turns.enter(self.sae, self._ask, self._current.kind)
        self._serving = False
        self._wire.read_on(not self._reader.waiting)

    def _settle(self) -> None:
        """All whole requests are answered."""
        reader = self._reader
        if reader.refusal is not None:
            self.refuse(400, reader.refusal)
        elif self._last_heard or (self._last and not reader.in_body):
            self._close()
        elif reader.awaited:
            reader.awaited = False
            self._wire.write(CONTINUE)

    def _ask(self) -> None:
        call, body = self._current, self._body
        if call is None:
            return
        self._body = b""
        self._asked = True
        reply = partial(self._reply, self._number)
        try:
            call.ask(self._service, body, reply)
        except KeyhopError as error:
            reply(error)
        except Exception:  # noqa: BLE001 (whatever it is, the SAE gets JSON and the node goes on)
            _log.exception("a request failed for a reason that is ours")
            reply(OURS)

    def _reply(self, number: int, answer: Answer) -> None:
        """To the request of this number. Once it is answered, or the client has gone, a reply is nobody's."""
        if number != self._number:
            return
        self._number += 1
        self._asked = False
        if self._gone:
            self._on_lost(self)
            return
        if self._turns.shared and not is_soon_written(answer):
            self._turns.enter(self.sae, partial(self._answer, answer))
        else:
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        call = self._current
        if call is None:
            return
        self._current = None
        self._since = self._now()
        ends = self._last or not call.keep_alive
        self._wire.write(encode_whatever(answer, close=ends, bodiless=call.bodiless))
        if ends:
            self._farewell = b""
            self._close()
        elif self._farewell:
            self._part()
        else:
            self._serve()

    def _part(self) -> None:
        farewell, self._farewell = self._farewell, b""
        self._wire.write(farewell)
        self._close()

    def _close(self) -> None:
        self._end_reading()
        self._wire.close()

    def _end_reading(self) -> None:
        self._closing = True
        self._since = self._now()
        self._reader.end()
