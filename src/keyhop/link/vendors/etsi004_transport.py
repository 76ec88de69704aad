"""Calls of ETSI GS QKD 004 to a device, over TLS. Another wire format is another class with these three methods."""

import asyncio
import contextlib
import ssl
from typing import Protocol

from keyhop.core.errors import ConfigurationError
from keyhop.link.vendors import etsi004_wire as wire
from keyhop.link.vendors.device import DeviceFault
from keyhop.link.vendors.failures import plain_reason
from keyhop.link.vendors.settings import Etsi004Options
from keyhop.link.vendors.tls import device_context


class NoAnswer(DeviceFault):
    """The device may have done what it was asked for, but did not say so."""


class Etsi004Transport(Protocol):
    """The three calls. All raise DeviceFault when there is no sensible answer in time."""

    async def open_connect(self, source: str, destination: str, qos: wire.Qos, key_stream: bytes) -> wire.Opened:
        """OPEN_CONNECT."""
        ...

    async def get_key(self, key_stream: bytes, index: int, metadata_bytes: int) -> wire.Got:
        """GET_KEY, with room for so much metadata."""
        ...

    async def close(self, key_stream: bytes) -> None:
        """CLOSE, and the connection. Does not raise."""
        ...


class TlsTransport:
    """One connection, kept for as long as the device keeps it; some devices close it after each answer."""

    def __init__(self, options: Etsi004Options, host: str, port: int) -> None:
        self._options = options
        self._host, self._port = host, port
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open_connect(self, source: str, destination: str, qos: wire.Qos, key_stream: bytes) -> wire.Opened:
        """OPEN_CONNECT."""
        request = wire.open_connect(source, destination, qos, key_stream, self._options.dialect)
        return wire.opened(await self._ask(wire.Service.OPEN_CONNECT, request))

    async def get_key(self, key_stream: bytes, index: int, metadata_bytes: int) -> wire.Got:
        """GET_KEY."""
        request = wire.get_key(key_stream, index, metadata_bytes, self._options.dialect)
        return wire.got(await self._ask(wire.Service.GET_KEY, request))

    async def close(self, key_stream: bytes) -> None:
        """CLOSE, and the connection."""
        if key_stream != wire.NO_KEY_STREAM:
            with contextlib.suppress(DeviceFault):
                await self._ask(wire.Service.CLOSE, wire.close(key_stream))
        self._drop()

    async def _ask(self, service: wire.Service, request: bytes) -> bytes:
        """One request, one answer. A connection that the device has closed since the last answer is made anew."""
        kept = self._writer is not None
        try:
            async with asyncio.timeout(self._options.timeout_s):
                try:
                    return await self._exchange(service, request)
                except (asyncio.IncompleteReadError, OSError):
                    self._drop()
                    if not kept:
                        raise
                    return await self._exchange(service, request)
        except TimeoutError:
            self._drop()
            raise NoAnswer(
                f"the device at {self._address} did not answer within {self._options.timeout_s:g} s"
            ) from None
        except asyncio.IncompleteReadError:
            self._drop()
            raise NoAnswer(f"the device at {self._address} closed the connection without an answer") from None
        except OSError as failure:  # ssl.SSLError is one
            self._drop()
            raise DeviceFault(f"cannot reach the device at {self._address}: {plain_reason(failure)}") from None
        except (DeviceFault, asyncio.CancelledError):
            self._drop()  # what is left of the answer must not be taken for the next one
            raise

    async def _exchange(self, service: wire.Service, request: bytes) -> bytes:
        reader, writer = await self._connected()
        writer.write(request)
        await writer.drain()
        header = await reader.readexactly(wire.HEADER_BYTES)
        return await reader.readexactly(wire.payload_bytes(header, service))

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                self._host,
                self._port,
                ssl=self._context(),
                server_hostname=self._options.server_name or self._host,
                limit=wire.MAX_PAYLOAD_BYTES,
            )
        return self._reader, self._writer

    def _context(self) -> ssl.SSLContext:
        options = self._options
        try:
            return device_context(options.ca, options.certificate, options.key, options.minimum_tls)
        except ConfigurationError as failure:
            raise DeviceFault(failure.message) from None

    def _drop(self) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.transport.abort()
