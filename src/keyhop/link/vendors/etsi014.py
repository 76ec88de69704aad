"""A vendor's KME as the device of a link: enc_keys at the initiator, dec_keys at the follower."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from keyhop.core.ids import KEY_ID_BYTES
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import LinkEnd
from keyhop.link.vendors.adapter import VendorAdapter
from keyhop.link.vendors.device import DeviceFault, NoKeysNow, Piece
from keyhop.link.vendors.etsi014_answers import MAX_ANSWER_BYTES
from keyhop.link.vendors.etsi014_client import CannotAsk, Etsi014Client, KmeRefused, make_client
from keyhop.link.vendors.settings import Etsi014Options
from keyhop.link.vendors.tls import device_context

DEFAULT_SIZE_BITS = 256
MIN_SIZE_BITS = 64
MAX_SEARCHES = 32
"""Requests to find out which keys of a batch the KME lacks."""

_TEXT_BYTES_PER_KEY = 512
"""Room in an answer for what stands around a key."""


def make_etsi014(options: Etsi014Options, end: LinkEnd) -> VendorAdapter:
    """One end of a link. Raises ConfigurationError for files that cannot be used."""
    device_context(options.ca, options.certificate, options.key, options.minimum_tls)
    return VendorAdapter(
        "etsi014",
        options.role,
        Etsi014Device(options),
        end,
        block_bytes=options.block_bytes,
        max_rate_bps=options.max_rate_bps,
    )


class Etsi014Device:
    """Pieces are keys, their names key IDs."""

    def __init__(
        self, options: Etsi014Options, client_of: Callable[[Etsi014Options], Etsi014Client] = make_client
    ) -> None:
        self._options = options
        self._client_of = client_of
        self._client: Etsi014Client | None = None
        self._renew = False
        self._size_bits = DEFAULT_SIZE_BITS
        self._most = self._number = options.max_keys_per_request

    async def open(self, greeting: bytes | None) -> bytes:
        """The initiator asks what sizes and numbers the KME gives."""
        self._renew = True
        async with self._asking() as client:
            if greeting is None:
                await self._settle_sizes(client)
        return b""

    async def produce(self, wanted_bytes: int) -> list[Piece]:
        """enc_keys. A KME that has fewer keys than it is asked for gives none, so it is asked for fewer next time."""
        number = max(1, min(self._number, -(-8 * wanted_bytes // self._size_bits)))
        try:
            async with self._asking() as client:
                keys = await client.enc_keys(number, self._size_bits)
            if not keys:
                raise NoKeysNow("the KME has no keys now")
        except NoKeysNow:
            self._number = max(1, number // 2)
            raise
        self._number = min(self._most, 2 * self._number)
        return [Piece(key_id, material) for key_id, material in keys.items()]

    async def copies(self, names: Sequence[bytes], sizes: Sequence[int], found: dict[bytes, KeyMaterial]) -> None:
        """dec_keys, in batches; a batch that the KME refuses is halved, until it is clear which keys it lacks."""
        most = 1 if self._options.method == "GET" else _fitting(self._most, max(sizes, default=0))
        key_ids = [name for name in names if name not in found and len(name) == KEY_ID_BYTES]
        batches = [key_ids[start : start + most] for start in range(0, len(key_ids), most)]
        searches = 0
        async with self._asking() as client:
            while batches:
                batch = batches.pop()
                try:
                    found |= await client.dec_keys(batch)
                except KmeRefused:
                    searches += 1
                    if len(batch) > 1 and searches < MAX_SEARCHES:
                        half = len(batch) // 2
                        batches += [batch[:half], batch[half:]]

    async def consume(self, names: Sequence[bytes]) -> None:
        """The KME forgot them when it gave them."""

    def lost(self, names: Sequence[bytes]) -> None:
        """They cannot be given back."""

    async def close(self) -> None:
        """Ends the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Etsi014Client]:
        """The client to ask with. After it failed to, the next one reads the certificates again."""
        if self._client is None or self._renew:
            renewed = self._client_of(self._options)
            await self.close()
            self._client, self._renew = renewed, False
        try:
            yield self._client
        except CannotAsk:
            self._renew = True
            raise

    async def _settle_sizes(self, client: Etsi014Client) -> None:
        status = await client.status()
        size_bits = self._options.size_bits or status.key_size or DEFAULT_SIZE_BITS
        least, largest = status.min_key_size or MIN_SIZE_BITS, status.max_key_size or size_bits
        if size_bits % 8 or not max(least, MIN_SIZE_BITS) <= size_bits <= min(largest, 65_536):
            raise DeviceFault(f"keys of {size_bits} bits cannot be had: the KME has {least} to {largest} bits")
        most = status.max_key_per_request or 1
        if most < 1:
            raise DeviceFault("the KME gives no keys at all: its max_key_per_request is not positive")
        self._size_bits = size_bits
        self._most = self._number = _fitting(min(self._options.max_keys_per_request, most), size_bits // 8)


def _fitting(most: int, size_bytes: int) -> int:
    """So few keys that an answer with them is within its bounds."""
    return max(1, min(most, MAX_ANSWER_BYTES // (2 * size_bytes + _TEXT_BYTES_PER_KEY)))
