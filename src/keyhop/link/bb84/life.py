"""One end of a BB84 link from its start to its stop: carries messages, time and detections to the engine, and does
what the engine wants.

Whatever computes runs in workers: the engine in one (one call at a time, in order), the receiver's device in another.
Everything else happens on the event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial

from keyhop.core.watched import watched
from keyhop.link.adapter import LinkBlock, LinkEnd
from keyhop.link.bb84.compilation import Progress
from keyhop.link.bb84.detecting import PERIOD_S, Detecting
from keyhop.link.bb84.optics.line import Detections
from keyhop.link.bb84.protocol.commands import Command, Deliver, Remember, Report, Send
from keyhop.link.bb84.protocol.engine import Engine, View
from keyhop.link.bb84.worker import Worker

TICK_S = 0.1
MAX_INBOX_BYTES = 64 << 20
"""More than these wait for nobody: the engine finds that messages are missing, and ends the run."""

MAX_BATCHES = 2
"""Detections that wait for the engine: more are not taken."""


@dataclass(frozen=True, slots=True)
class _Call:
    """What the engine is to do; how much of what waits for it that is."""

    do: Callable[[], list[Command]]
    inbox_bytes: int = 0
    batches: int = 0


class Life:
    """`make_engine` is called in the worker, once everything is compiled and aligned. `detecting` is the receiver's."""

    def __init__(
        self,
        end: LinkEnd,
        make_engine: Callable[[], Engine],
        worker: Worker,
        detecting: Detecting | None,
        deliver: Callable[[LinkBlock], None],
    ) -> None:
        self.view = View("starting", "preparing to compile")
        self.began_s = 0.0
        """When the run under way began, or the last one."""
        self._end, self._make_engine = end, make_engine
        self._worker, self._detecting = worker, detecting
        self._deliver = deliver
        self._engine: Engine | None = None
        self._task: asyncio.Task[None] | None = None
        self._calls: deque[_Call] = deque()
        self._inbox_bytes = 0
        self._batches = 0
        self._busy = False
        self._deferred = 0
        self._over = False

    def begin(self, compile_all: Callable[[Progress], None], alignment_s: float) -> None:
        """Compiles, waits for the optics, then talks."""
        self._worker.submit(
            lambda: compile_all(self._compiling), lambda compiled: self._compiled(compiled, alignment_s)
        )

    async def end(self) -> None:
        """Says good-bye and drops everything; nothing is delivered afterwards."""
        self._over = True
        self._end.channel.listen(None)
        if self._engine is not None:
            self._end.channel.send(self._engine.farewell())
        self._calls.clear()
        self._worker.close()
        if self._detecting is not None:
            self._detecting.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def skipped_slots(self) -> int:
        """What the receiver's device did not look at."""
        return self._detecting.skipped_slots if self._detecting is not None else 0

    def _compiling(self, text: str) -> None:
        """In the worker."""
        if self._over:
            raise CancelledError
        self.view = View("starting", text)

    def _compiled(self, compiled: Future[None], alignment_s: float) -> None:
        if self._over:
            return
        failure = compiled.exception()
        if failure is not None:
            self._failed(failure)
            return
        self._task = watched(self._run(alignment_s), self._failed)

    async def _run(self, alignment_s: float) -> None:
        self.view = View("starting", "aligning the optics")
        await self._end.sleep(alignment_s)
        self._engine = engine = self._make_engine()
        self.view = engine.view
        self._end.channel.listen(self._received)
        while not self._over:
            if not self._busy and not self._calls:
                self._call(_Call(engine.tick))
            if self._detecting is None:
                await self._end.sleep(TICK_S)
                continue
            self._look()
            await self._end.sleep(PERIOD_S)

    def _look(self) -> None:
        """The next batch of detections, if the one before is on its way to the far end: none pile up here."""
        if self._detecting is not None and not self._over:
            wanted = self.view.wants and self._batches < MAX_BATCHES
            self._detecting.turn(self.view.run, wanted=wanted, detected=self._detected)

    def _received(self, message: bytes) -> None:
        engine = self._engine
        if engine is None or self._inbox_bytes + len(message) > MAX_INBOX_BYTES:
            return
        self._inbox_bytes += len(message)
        self._call(_Call(partial(engine.received, message), inbox_bytes=len(message)))

    def _detected(self, run: bytes, found: Future[Detections]) -> None:
        failure, engine = found.exception(), self._engine
        if failure is not None:
            self._failed(failure)
        elif engine is not None:
            self._batches += 1
            self._call(_Call(partial(engine.detected, run, found.result()), batches=1))
            self._look()

    def _call(self, call: _Call) -> None:
        self._calls.append(call)
        self._next()

    def _next(self) -> None:
        """Gives the worker the next call, if it has none."""
        engine = self._engine
        if self._busy or self._over or engine is None or not (self._calls or engine.has_work):
            return
        call = _Call(engine.work) if engine.has_work else self._calls.popleft()
        self._inbox_bytes -= call.inbox_bytes
        self._batches -= call.batches
        self._busy = True
        self._worker.submit(lambda: (call.do(), engine.view), self._done)

    def _done(self, future: Future[tuple[list[Command], View]]) -> None:
        self._busy = False
        if self._over:
            return
        failure = future.exception()
        if failure is not None:
            self._failed(failure)
            return
        commands, view = future.result()
        if view.run is not None and view.run != self.view.run:
            self.began_s = self._end.clock.monotonic()
        self.view = view
        for command in commands:
            self._in_order(command)
        self._next()
        self._look()

    def _in_order(self, command: Command) -> None:
        """Does it now; or, when something was saved before that is not durable yet, after that."""
        if isinstance(command, Remember):
            self._end.memory.save(command.pool)
        elif not self._deferred:
            self._perform(command)
            return
        self._deferred += 1
        self._end.memory.then(partial(self._after_commit, command))

    def _after_commit(self, command: Command) -> None:
        self._deferred -= 1
        self._perform(command)

    def _perform(self, command: Command) -> None:
        if self._over:
            return
        try:
            match command:
                case Send(message=message):
                    self._end.channel.send(message)
                case Deliver(block=block):
                    self._deliver(block)
                case Report(event=event):
                    self._end.report(event)
                case Remember():
                    pass
        except Exception as failure:  # noqa: BLE001 - whoever takes blocks may fail in any way; the node goes on
            self._failed(failure)

    def _failed(self, failure: BaseException) -> None:
        """A bug, or the node cannot take blocks: the link stops, and says so."""
        self._over = True
        self._end.channel.listen(None)
        self.view = View("stopped", f"the link failed ({type(failure).__name__})")
        if self._task is not None:
            self._task.cancel()
        asyncio.get_running_loop().call_exception_handler({"message": "a BB84 link failed", "exception": failure})
