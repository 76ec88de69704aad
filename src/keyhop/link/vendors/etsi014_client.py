"""Requests to a vendor's KME. Each is bounded in time and in size, whatever the other side does."""

import asyncio
import re
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import key_id_text
from keyhop.core.keys import KeyMaterial
from keyhop.handshakes import CLOSE_UNFINISHED
from keyhop.link.vendors import etsi014_answers as answers
from keyhop.link.vendors.device import DeviceFault, NoKeysNow
from keyhop.link.vendors.failures import plain_reason
from keyhop.link.vendors.settings import Etsi014Options
from keyhop.link.vendors.tls import device_context

_OK, _BAD_REQUEST, _UNAUTHORISED, _BUSY = 200, 400, 401, (429, 503)
_ENDS_WITH_PORT = re.compile(r":\d+$")


class KmeRefused(DeviceFault):
    """The KME says that the request cannot be met: 400."""


class CannotAsk(DeviceFault):
    """There was no sensible answer, or the KME does not accept us: other certificates may help."""


class Etsi014Client:
    """One KME, as one SAE; over `transport` instead of the network if given.

    Raises ConfigurationError for files that cannot be used.
    """

    def __init__(self, options: Etsi014Options, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._options = options
        context = device_context(options.ca, options.certificate, options.key, options.minimum_tls)
        self._client = httpx.AsyncClient(
            verify=context,
            transport=transport,
            timeout=options.timeout_s,
            trust_env=False,
            follow_redirects=False,
            event_hooks=CLOSE_UNFINISHED,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=2),
        )
        self._address = _host_and_port(options.base_url)
        self._prefix = f"{options.base_url.rstrip('/')}/api/v1/keys/{quote(options.peer_sae_id, safe='')}"

    async def status(self) -> answers.KmeStatus:
        """Get status. Raises DeviceFault and NoKeysNow, as all of these."""
        return answers.status(await self._request("GET", "status"))

    async def enc_keys(self, number: int, size_bits: int) -> dict[bytes, KeyMaterial]:
        """Get key: 1 to `number` new keys by ID."""
        body = await self._ask("enc_keys", {"number": number, "size": size_bits})
        return answers.keys(body, size_bits // 8, number)

    async def dec_keys(self, key_ids: list[bytes]) -> dict[bytes, KeyMaterial]:
        """Get key with key IDs. Raises KmeRefused when the KME has not all of them."""
        if self._options.method == "GET":
            body = await self._request("GET", f"dec_keys?{urlencode({'key_ID': key_id_text(key_ids[0])})}")
        else:
            body = await self._request(
                "POST", "dec_keys", {"key_IDs": [{"key_ID": key_id_text(key_id)} for key_id in key_ids]}
            )
        found = answers.keys(body, None, len(key_ids))
        if not found.keys() <= set(key_ids):
            raise DeviceFault("the KME gave keys that were not asked for")
        return found

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    async def _ask(self, call: str, parameters: dict[str, int]) -> bytes:
        if self._options.method == "GET":
            return await self._request("GET", f"{call}?{urlencode(parameters)}")
        return await self._request("POST", call, parameters)

    async def _request(self, method: str, call: str, document: Any = None) -> bytes:
        content = None if document is None else msgspec.json.encode(document)
        extensions = {"sni_hostname": self._options.server_name} if self._options.server_name else {}
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            async with (
                asyncio.timeout(self._options.timeout_s),
                self._client.stream(
                    method, f"{self._prefix}/{call}", content=content, headers=headers, extensions=extensions
                ) as response,
            ):
                body = await _bounded_body(response)
        except (TimeoutError, httpx.TimeoutException):
            raise CannotAsk(f"the KME at {self._address} did not answer within {self._options.timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as failure:
            raise CannotAsk(f"cannot ask the KME at {self._address}: {plain_reason(failure)}") from None
        if response.status_code != _OK:
            raise _refusal(response, answers.complaint(body))
        return body


def make_client(options: Etsi014Options) -> Etsi014Client:
    """For a link that runs: what was right at the start may no longer be. Raises DeviceFault."""
    try:
        return Etsi014Client(options)
    except ConfigurationError as failure:
        raise DeviceFault(failure.message) from None


def _host_and_port(base_url: str) -> str:
    host = urlsplit(base_url).netloc
    return host if _ENDS_WITH_PORT.search(host) else f"{host}:443"


async def _bounded_body(response: httpx.Response) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise DeviceFault("the KME compressed its answer although it was asked not to")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > answers.MAX_ANSWER_BYTES:
            raise DeviceFault(f"the KME's answer is longer than {answers.MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _refusal(response: httpx.Response, complaint: str) -> DeviceFault | NoKeysNow:
    code = response.status_code
    said = f": {complaint}" if complaint else ""
    if code in _BUSY:
        return NoKeysNow(f"the KME has no keys now ({code}{said})", retry_after_s=_retry_after_s(response))
    if code == _BAD_REQUEST:
        return KmeRefused(f"the KME refuses the request (400{said})")
    if code == _UNAUTHORISED:
        return CannotAsk(f"the KME does not accept this node's certificate or SAE (401{said})")
    return DeviceFault(f"the KME answers with HTTP {code}{said}")


def _retry_after_s(response: httpx.Response) -> float | None:
    text = cast(str, response.headers.get("retry-after", ""))
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
