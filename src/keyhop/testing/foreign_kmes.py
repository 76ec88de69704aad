"""Two KMEs of another maker for tests of ETSI GS QKD 014 links, as an httpx transport: no sockets, no waiting."""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from keyhop.testing.virtual_time import VirtualTime


class ForeignKmes:
    """Both KMEs share what they made. `intervene` may answer a request instead of them, or raise httpx errors."""

    def __init__(self, time: VirtualTime, *, rate_bps: float = 20_000, key_bytes: int = 32) -> None:
        self.time = time
        self.rate_bps = rate_bps
        self.key_bytes = key_bytes
        self.most = 20
        self.given = 0
        self.keys: dict[str, bytes] = {}
        self.requests: list[httpx.Request] = []
        self.intervene: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def transport(self) -> httpx.AsyncBaseTransport:
        """For the client of either end."""
        return _Transport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        instead = self.intervene(request)
        if instead is not None:
            return instead
        call = request.url.path.rpartition("/")[2]
        parameters: dict[str, Any] = json.loads(request.content) if request.content else dict(request.url.params)
        if call == "status":
            return httpx.Response(200, json=self._status())
        if call == "enc_keys":
            return self._enc_keys(int(parameters.get("number", 1)), int(parameters.get("size", 8 * self.key_bytes)))
        if "key_ID" in parameters:
            return self._dec_keys([parameters["key_ID"]])
        return self._dec_keys([item["key_ID"] for item in parameters["key_IDs"]])

    def _status(self) -> dict[str, Any]:
        return {
            "source_KME_ID": "VENDOR-A",
            "target_KME_ID": "VENDOR-B",
            "master_SAE_ID": "near",
            "slave_SAE_ID": "far",
            "key_size": 8 * self.key_bytes,
            "stored_key_count": 0,
            "max_key_count": 1000,
            "max_key_per_request": self.most,
            "max_key_size": 1024,
            "min_key_size": 64,
            "max_SAE_ID_count": 0,
            "status_extension": {"vendor_model": "X1"},
        }

    def _enc_keys(self, number: int, size_bits: int) -> httpx.Response:
        if number > self.most or size_bits % 8 or not 64 <= size_bits <= 1024:
            return httpx.Response(400, json={"message": "out of range"})
        made = int(self.time.monotonic() * self.rate_bps / size_bits)
        self.given = max(self.given, made - 1000)
        if number > made - self.given:
            return httpx.Response(503, json={"message": "no keys"})
        container = []
        for _ in range(number):
            self.given += 1
            digest = hashlib.shake_256(self.given.to_bytes(8)).digest(16 + size_bits // 8)
            key_id = str(uuid.UUID(bytes=digest[:16]))
            self.keys[key_id] = digest[16:]
            container.append(self._key(key_id))
        return httpx.Response(200, json={"keys": container, "key_container_extension": {"vendor_x": [1]}})

    def _dec_keys(self, key_ids: list[str]) -> httpx.Response:
        if len(key_ids) > self.most or any(key_id not in self.keys for key_id in key_ids):
            return httpx.Response(400, json={"message": "one or more keys specified are not found on KME"})
        response = httpx.Response(200, json={"keys": [self._key(key_id) for key_id in key_ids]})
        for key_id in key_ids:
            del self.keys[key_id]
        return response

    def _key(self, key_id: str) -> dict[str, Any]:
        return {"key_ID": key_id.upper(), "key": base64.b64encode(self.keys[key_id]).decode(), "key_extension": {}}


class _Transport(httpx.AsyncBaseTransport):
    """Unlike httpx.MockTransport it leaves the body to be streamed."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, unread."""
        answer = self._answer(request)
        body = httpx.ByteStream(answer.content) if answer.is_stream_consumed else answer.stream
        return httpx.Response(answer.status_code, headers=answer.headers, stream=body)
