"""A key service whose answers are counted and timed."""

from collections.abc import Callable
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.errors import BadRequest, KeyhopError, RequestError, Unauthorised
from keyhop.node.telemetry import Metrics
from keyhop.service.requests import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    InsertedKeys,
    InsertKeys,
    InsertReply,
    KeyReply,
    Keys,
    KeyService,
    Status,
    VoidedKeys,
    VoidKeys,
    VoidReply,
)

_CODES: dict[type, int] = {Keys: 200, InsertedKeys: 200, VoidedKeys: 200, BadRequest: 400, Unauthorised: 401}


class MeasuredService:
    """Passes everything on to `service`; what is measured ends with the answer, before it is put into bytes."""

    def __init__(self, service: KeyService, interface: str, metrics: Metrics, clock: Clock) -> None:
        self._service = service
        self._interface = interface
        self._metrics = metrics
        self._clock = clock

    def get_status(self, request: GetStatus) -> Status:
        """As the service."""
        since = self._clock.monotonic()
        try:
            status = self._service.get_status(request)
        except RequestError as error:
            self._count("status", _CODES[type(error)], since)
            raise
        self._count("status", 200, since)
        return status

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        """As the service."""
        self._service.get_key(request, self._counted("enc_keys", reply))

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        """As the service."""
        self._service.get_key_with_ids(request, self._counted("dec_keys", reply))

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        """As the service."""
        self._service.insert_keys(request, self._counted("keyhop_insert", reply))

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        """As the service."""
        self._service.void_keys(request, self._counted("keyhop_void", reply))

    def _counted[Answer](
        self, call: str, reply: Callable[[Answer | KeyhopError], None]
    ) -> Callable[[Answer | KeyhopError], None]:
        return partial(self._answered, call, self._clock.monotonic(), reply)

    def _answered[Answer](
        self,
        call: str,
        since: float,
        reply: Callable[[Answer | KeyhopError], None],
        answer: Answer | KeyhopError,
    ) -> None:
        self._count(call, _CODES.get(type(answer), 503), since)
        reply(answer)

    def _count(self, call: str, code: int, since: float) -> None:
        self._metrics.request(self._interface, call, code, self._clock.monotonic() - since)
