"""A BB84 link as the node sees it: from options and files to an end that lives between `start` and `stop`."""

from collections.abc import Callable
from functools import partial

from keyhop.core.errors import LinkError
from keyhop.link.adapter import Disturbance, LinkBlock, LinkEnd, LinkStatus
from keyhop.link.bb84 import compilation
from keyhop.link.bb84.authentication.enrolment import load_enrolment
from keyhop.link.bb84.authentication.tag_keys import TagKeys
from keyhop.link.bb84.compilation import Progress
from keyhop.link.bb84.detecting import Detecting
from keyhop.link.bb84.devices import SimulatedReceiver, SimulatedTransmitter
from keyhop.link.bb84.life import Life
from keyhop.link.bb84.protocol.blocks import KIND
from keyhop.link.bb84.protocol.engine import Engine
from keyhop.link.bb84.protocol.session import Parts, reason_of
from keyhop.link.bb84.settings import Bb84Options, check_options
from keyhop.link.bb84.worker import ThreadWorker, Worker
from keyhop.link.meter import Meter
from keyhop.link.rate import read_secret


class Bb84Adapter:
    """One end of a BB84 link over a simulated line.

    Raises ConfigurationError: outside a lab, options that contradict each other, files that cannot be used.
    `new_worker` and `compile_all` are for tests, which run on virtual time and compile as they go.
    """

    kind = KIND
    physics = True

    def __init__(
        self,
        options: Bb84Options,
        end: LinkEnd,
        *,
        new_worker: Callable[[str], Worker] = ThreadWorker,
        compile_all: Callable[[Progress], None] = compilation.compile_once,
    ) -> None:
        check_options(end.link, options, lab=end.lab)
        self._options, self._end = options, end
        self._enrolment = load_enrolment(options.enrolment_file)
        self._secret = read_secret(options.pulses_file, "pulses_file")
        self._new_worker, self._compile_all = new_worker, compile_all
        self._disturbance = Disturbance()
        self._receiver = self._new_receiver()
        self._life: Life | None = None
        self._refusal: str | None = None
        self._blocks = 0
        self._meter: Meter | None = None

    async def start(self, deliver: Callable[[LinkBlock], None]) -> None:
        """Begins to compile, then to talk to the far end. Raises LinkError when already started.

        Where the keys that the node remembers of the link are unreadable the link is stopped, and says so.
        """
        if self._life is not None:
            raise LinkError("the link is already started")
        end, detecting = self._end, None
        try:
            pool = self._pool()
        except LinkError as failure:
            self._refusal = reason_of(failure)
            return
        parts = Parts(self._options, pool, end.clock, end.entropy)
        self._meter = None
        # Devices of its own for each life: threads of the one before may still be at work.
        transmitter, self._receiver = self._new_transmitter(), self._new_receiver()
        if self._receiver is not None:
            detecting = Detecting(self._receiver, self._new_worker(f"{end.link} line"), end.clock)

        def engine() -> Engine:
            return Engine(end.link, parts, transmitter, end.after)

        self._life = Life(end, engine, self._new_worker(f"{end.link} engine"), detecting, partial(self._count, deliver))
        self._life.begin(self._compile_all, self._options.alignment_s)

    async def stop(self) -> None:
        """Ends production; nothing is delivered afterwards."""
        life, self._life, self._refusal = self._life, None, None
        if life is not None:
            await life.end()

    def status(self) -> LinkStatus:
        """The link as this end sees it now."""
        now_s, life = self._end.clock.monotonic(), self._life
        if life is None:
            return LinkStatus("stopped" if self._refusal else "off", self._refusal, 0.0, None, self._blocks)
        view, meter = life.view, self._meter or Meter(now_s)
        details = view.details | {"slots_skipped": life.skipped_slots}
        qber = meter.qber(now_s) if view.qber is None else view.qber
        return LinkStatus(view.state, view.reason, meter.sbr_bps(now_s), qber, self._blocks, details)

    def _count(self, deliver: Callable[[LinkBlock], None], block: LinkBlock) -> None:
        """Rates count from the run that made the first block: neither compiling nor aligning brings key."""
        assert self._life is not None
        if self._meter is None:
            self._meter = Meter(self._life.began_s)
        self._blocks += 1
        self._meter.add(self._end.clock.monotonic(), len(block.material), block.qber)
        deliver(block)

    @property
    def disturbance(self) -> Disturbance:
        """What the line suffers now."""
        return self._disturbance

    def disturb(self, disturbance: Disturbance) -> None:
        """From now on the line suffers this. Raises ConfigurationError for what no line can suffer."""
        if self._receiver is not None:
            self._receiver.disturb(disturbance)
        self._disturbance = disturbance

    def _new_transmitter(self) -> SimulatedTransmitter | None:
        options = self._options
        return SimulatedTransmitter(options.source, self._secret) if options.role == "transmitter" else None

    def _new_receiver(self) -> SimulatedReceiver | None:
        options = self._options
        if options.role == "transmitter":
            return None
        optics = (options.source, options.channel, options.detectors)
        receiver = SimulatedReceiver(*optics, self._secret, self._end.entropy)
        receiver.disturb(self._disturbance)
        return receiver

    def _pool(self) -> TagKeys:
        """The authentication keys as they are remembered, and the enrolment's where that is new."""
        saved, role = self._end.memory.load(), self._options.role
        pool = TagKeys(role) if saved is None else TagKeys.from_bytes(saved, role)
        if pool.enrol(self._enrolment):
            self._end.memory.save(pool.to_bytes())
        return pool
