"""The client's two shells on httpx, blocking and asyncio; all decisions are in `calls` and `answers`.

Neither follows redirects, reads proxies or credentials from the environment, nor asks anything twice.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from keyhop.apps.client import calls
from keyhop.apps.client.answers import Answer
from keyhop.apps.client.calls import Call
from keyhop.apps.client.errors import TransportError
from keyhop.apps.client.results import KeyContainer, SecretBytes, Status, Voided
from keyhop.handshakes import CLOSE_UNFINISHED

TIMEOUT_S = 30.0
MAX_RESPONSE_BYTES = 16 * 1024 * 1024


class Client:
    """A blocking client of the KME at `url` (https, with or without a path in front of `/api`).

    `timeout_s` bounds every wait and, once the headers of an answer are there, the whole call. An answer over
    `max_response_bytes` is refused unread. `always_post` sends both key calls as POST.
    Every call raises ValueError for arguments that no request can carry, and ClientError otherwise.
    """

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext,
        *,
        timeout_s: float = TIMEOUT_S,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        always_post: bool = False,
    ) -> None:
        self._base = _base(url)
        self._timeout_s = timeout_s
        self._max_response_bytes = max_response_bytes
        self._always_post = always_post
        self._http = httpx.Client(verify=tls, timeout=timeout_s, trust_env=False, headers=_HEADERS)

    def get_status(self, slave: str) -> Status:
        """Get status (clause 5.1) of the keys shared with `slave`."""
        return self._exchange(calls.get_status(slave))

    def get_key(
        self,
        slave: str,
        *,
        number: int | None = None,
        size_bits: int | None = None,
        additional_slaves: Sequence[str] = (),
        extension_mandatory: Mapping[str, Any] | None = None,
        extension_optional: Mapping[str, Any] | None = None,
    ) -> KeyContainer:
        """Get key (clause 5.2): `number` fresh keys (1) of `size_bits` (the KME's default) for the slaves."""
        return self._exchange(
            calls.get_key(
                slave,
                number=number,
                size_bits=size_bits,
                additional_slaves=additional_slaves,
                extension_mandatory=extension_mandatory,
                extension_optional=extension_optional,
                always_post=self._always_post,
            )
        )

    def get_key_with_ids(self, master: str, key_ids: Sequence[UUID | str]) -> KeyContainer:
        """Get key with key IDs (clause 5.3): the keys that `master` got under `key_ids`, in that order."""
        return self._exchange(calls.get_key_with_ids(master, key_ids, always_post=self._always_post))

    def insert_keys(
        self,
        slave: str,
        keys: Sequence[SecretBytes],
        *,
        key_ids: Sequence[UUID | str] | None = None,
        additional_slaves: Sequence[str] = (),
    ) -> tuple[UUID, ...]:
        """keyhop_insert, of a keyhop KME: keys of the caller's own for the slaves. Gives their IDs."""
        call = calls.insert_keys(slave, keys, key_ids=key_ids, additional_slaves=additional_slaves)
        return self._exchange(call)

    def void_keys(self, slave: str, key_ids: Sequence[UUID | str], *, additional_slaves: Sequence[str] = ()) -> Voided:
        """keyhop_void, of a keyhop KME: slaves that have not fetched these keys of the caller never get them."""
        return self._exchange(calls.void_keys(slave, key_ids, additional_slaves=additional_slaves))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange[Result](self, call: Call[Result]) -> Result:
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._http.stream(
                call.method, self._base + call.target, content=call.body, headers=_content(call)
            ) as response:
                answer = Answer(response.status_code, response.headers, call.read, self._max_response_bytes)
                for piece in response.iter_raw():
                    answer.receive(piece)
                    if time.monotonic() > deadline:
                        raise TimeoutError
        except (httpx.HTTPError, OSError) as error:
            reason = _reason(error)
        else:
            return answer.result()
        raise TransportError(f"{self._base}: {reason}")


class AsyncClient:
    """The same for asyncio; here `timeout_s` bounds the whole of every call."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext,
        *,
        timeout_s: float = TIMEOUT_S,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        always_post: bool = False,
    ) -> None:
        self._base = _base(url)
        self._timeout_s = timeout_s
        self._max_response_bytes = max_response_bytes
        self._always_post = always_post
        self._http = httpx.AsyncClient(
            verify=tls, timeout=timeout_s, trust_env=False, headers=_HEADERS, event_hooks=CLOSE_UNFINISHED
        )

    async def get_status(self, slave: str) -> Status:
        """Get status (clause 5.1) of the keys shared with `slave`."""
        return await self._exchange(calls.get_status(slave))

    async def get_key(
        self,
        slave: str,
        *,
        number: int | None = None,
        size_bits: int | None = None,
        additional_slaves: Sequence[str] = (),
        extension_mandatory: Mapping[str, Any] | None = None,
        extension_optional: Mapping[str, Any] | None = None,
    ) -> KeyContainer:
        """Get key (clause 5.2): `number` fresh keys (1) of `size_bits` (the KME's default) for the slaves."""
        return await self._exchange(
            calls.get_key(
                slave,
                number=number,
                size_bits=size_bits,
                additional_slaves=additional_slaves,
                extension_mandatory=extension_mandatory,
                extension_optional=extension_optional,
                always_post=self._always_post,
            )
        )

    async def get_key_with_ids(self, master: str, key_ids: Sequence[UUID | str]) -> KeyContainer:
        """Get key with key IDs (clause 5.3): the keys that `master` got under `key_ids`, in that order."""
        return await self._exchange(calls.get_key_with_ids(master, key_ids, always_post=self._always_post))

    async def insert_keys(
        self,
        slave: str,
        keys: Sequence[SecretBytes],
        *,
        key_ids: Sequence[UUID | str] | None = None,
        additional_slaves: Sequence[str] = (),
    ) -> tuple[UUID, ...]:
        """keyhop_insert, of a keyhop KME: keys of the caller's own for the slaves. Gives their IDs."""
        call = calls.insert_keys(slave, keys, key_ids=key_ids, additional_slaves=additional_slaves)
        return await self._exchange(call)

    async def void_keys(
        self, slave: str, key_ids: Sequence[UUID | str], *, additional_slaves: Sequence[str] = ()
    ) -> Voided:
        """keyhop_void, of a keyhop KME: slaves that have not fetched these keys of the caller never get them."""
        return await self._exchange(calls.void_keys(slave, key_ids, additional_slaves=additional_slaves))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _exchange[Result](self, call: Call[Result]) -> Result:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.stream(
                    call.method, self._base + call.target, content=call.body, headers=_content(call)
                ) as response,
            ):
                answer = Answer(response.status_code, response.headers, call.read, self._max_response_bytes)
                async for piece in response.aiter_raw():
                    answer.receive(piece)
        except (httpx.HTTPError, OSError) as error:
            reason = _reason(error)
        else:
            return answer.result()
        raise TransportError(f"{self._base}: {reason}")


# Compressed answers are refused: a small one could unpack to any size.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "keyhop"}


def _content(call: Call[Any]) -> dict[str, str]:
    return {} if call.body is None else {"Content-Type": "application/json"}


def _base(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"the KME's URL cannot be used: {error}") from None
    extra = parts.userinfo or parts.query or parts.fragment
    if parts.scheme != "https" or not parts.host or extra or (parts.port or 443) > 65535:
        raise ValueError("the KME's URL must be https://HOST[:PORT][/PATH]")
    return str(parts).rstrip("/")


def _reason(error: BaseException) -> str:
    """Why no answer came. The text of a protocol error may quote the answer, and so a key: not repeated."""
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return "no whole answer within the time limit"
    if isinstance(error, httpx.ProtocolError):
        return "the KME closed the connection or sent what is not HTTP"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and str(cause):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
