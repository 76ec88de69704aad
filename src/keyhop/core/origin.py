"""Where key bytes come from: one label, stored with them, which says what made them and over which nodes they came.

    bb84                                      a link of that kind, from one end of a stream to the other
    relay, hop-by-hop⏎1⏎alice carol bob       other nodes: a path on each line, both ends included

The number says how many of the paths it takes to learn the bytes.
"""

from collections.abc import Iterable
from functools import lru_cache

from keyhop.core.ids import KmeId

MAX_HOPS = 16
"""Of a path, and of what is relayed over it."""

type Path = tuple[KmeId, ...]
"""The KMEs that bytes came through, both ends included."""


def label(kind: str, paths: Iterable[Path], needed: int = 1) -> str:
    """The label of bytes that came over these paths, of which `needed` are enough to learn them. No name has a space in
    it."""
    return "\n".join((kind, str(needed), *map(" ".join, paths)))


def kind_of(source: str) -> str:
    """What made the bytes."""
    return source.partition("\n")[0]


def paths_of(source: str) -> tuple[Path, ...]:
    """Over which paths they came; none for those of a link."""
    return tuple(tuple(map(KmeId, line.split(" "))) for line in source.split("\n")[2:])


@lru_cache(maxsize=1024)
def hides_from(source: str) -> int | None:
    """On how many paths somebody has to be, to learn the bytes; None for those of a link, which are on none."""
    lines = source.split("\n")
    return int(lines[1]) if len(lines) > 1 else None


def without_paths(source: str) -> str:
    """What made the bytes, and on how many paths somebody has to be to learn them."""
    return "\n".join(source.split("\n")[:2])


def crossed(sources: Iterable[str], link: Path) -> tuple[Path, ...]:
    """Over which paths bytes of all these came; `link` is the path of those that a link brought."""
    return tuple(dict.fromkeys(path for source in sources for path in paths_of(source) or (link,)))
