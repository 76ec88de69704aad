"""Of which keys of a run the bytes came from where: what made them, and over which KMEs each key came."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from keyhop.core.origin import Path, crossed, kind_of
from keyhop.core.streams import Ages, StreamRef
from keyhop.core.units import units_for
from keyhop.service.requests import KeyRun

MAX_REMEMBERED = 1024


class Origin(NamedTuple):
    """Kinds of sources, and paths from the master's KME to the slave's: of a key in shares there are several."""

    source: str
    paths: tuple[Path, ...]


def origin_of(ages: Ages, stream: StreamRef) -> Origin:
    """Of all bytes of the stream that have these ages."""
    return _origin(tuple(dict.fromkeys([age.source for _, age in ages])), stream)


def by_origin(run: KeyRun, start: int, ages: Ages, stream: StreamRef) -> Sequence[tuple[Origin, KeyRun]]:
    """The keys of a run, in their order, those of one origin together. They lie one after the other in the stream, from
    unit `start` on."""
    if len(ages) == 1 or len({age.source for _, age in ages}) == 1:
        return [(_origin((ages[0][1].source,), stream), run)]
    units, ends = units_for(run.size_bytes), [end for end, _ in ages]

    def of_key(index: int) -> Origin:
        first = start + units * index
        return origin_of(ages[bisect_right(ends, first) : bisect_right(ends, first + units - 1) + 1], stream)

    together = [(origin, list(keys)) for origin, keys in groupby(range(run.count), of_key)]
    return [(origin, run.part(keys[0], len(keys))) for origin, keys in together]


@lru_cache(maxsize=MAX_REMEMBERED)
def _origin(sources: tuple[str, ...], stream: StreamRef) -> Origin:
    return Origin(" + ".join(dict.fromkeys(map(kind_of, sources))), crossed(sources, stream.ends))
