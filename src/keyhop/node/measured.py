"""A key service whose answers are counted and timed."""

from keyhop.core.clock import Clock
from keyhop.core.errors import BadRequest, KeyhopError, RequestError, Unauthorised
from keyhop.node.telemetry import Metrics
from keyhop.service.requests import GetKey, GetKeyWithIds, GetStatus, KeyReply, Keys, KeyService, Status

_CODES: dict[type, int] = {Keys: 200, BadRequest: 400, Unauthorised: 401}


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

    def _counted(self, call: str, reply: KeyReply) -> KeyReply:
        since = self._clock.monotonic()

        def counted(answer: Keys | KeyhopError) -> None:
            self._count(call, _CODES.get(type(answer), 503), since)
            reply(answer)

        return counted

    def _count(self, call: str, code: int, since: float) -> None:
        self._metrics.request(self._interface, call, code, self._clock.monotonic() - since)
