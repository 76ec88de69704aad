"""A KeyService whose every request is counted and timed, by interface, call and code."""

from collections.abc import Callable

from keyhop.core.errors import BadRequest, KeyhopError, Unauthorised
from keyhop.service.requests import GetKey, GetKeyWithIds, GetStatus, KeyReply, Keys, KeyService, Status

type Note = Callable[[str, str, int, float], None]
"""Interface, call, code, duration in seconds."""


class MeasuredKeyService:
    """Passes everything through, and tells `note` of each answer."""

    def __init__(self, service: KeyService, interface: str, note: Note, clock: Callable[[], float]) -> None:
        self._service = service
        self._interface = interface
        self._note = note
        self._clock = clock

    def get_status(self, request: GetStatus) -> Status:
        """As the service's own."""
        started = self._clock()
        try:
            status = self._service.get_status(request)
        except KeyhopError as failure:
            self._note(self._interface, "status", _code(failure), self._clock() - started)
            raise
        self._note(self._interface, "status", 200, self._clock() - started)
        return status

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        """As the service's own."""
        self._service.get_key(request, self._timed("enc_keys", reply))

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        """As the service's own."""
        self._service.get_key_with_ids(request, self._timed("dec_keys", reply))

    def _timed(self, call: str, reply: KeyReply) -> KeyReply:
        started = self._clock()

        def answer(result: Keys | KeyhopError) -> None:
            self._note(self._interface, call, _code(result), self._clock() - started)
            reply(result)

        return answer


def _code(result: Keys | KeyhopError) -> int:
    """The code that ETSI GS QKD 014 has for it; the other interfaces are counted in the same terms."""
    if isinstance(result, Keys):
        return 200
    if isinstance(result, BadRequest):
        return 400
    return 401 if isinstance(result, Unauthorised) else 503
