"""How often something happened and how long it took: counted in an addition or two, made into metrics when scraped.

The library's own counters and histograms take a lock for each event, which a request would notice.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

type Labels = tuple[str, ...]


class Tally:
    """Events of one kind in buckets of their durations; `bounds_s` are the buckets' upper ends."""

    __slots__ = ("bounds_s", "buckets", "total_s")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s
        self.buckets = [0] * (len(bounds_s) + 1)
        self.total_s = 0.0

    def add(self, duration_s: float) -> None:
        """One event."""
        self.buckets[bisect_left(self.bounds_s, duration_s)] += 1
        self.total_s += duration_s

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.buckets)


class Tallies(Collector):
    """Tallies by label: as the counter `name`, and without the last `only_counted` labels as the histogram `timed`."""

    def __init__(
        self,
        name: tuple[str, str],
        timed: tuple[str, str],
        labels: Labels,
        bounds_s: tuple[float, ...],
        only_counted: int = 0,
    ) -> None:
        """`name` and `timed` each with its description."""
        self._name = name
        self._timed = timed
        self._labels = labels
        self._timed_labels = len(labels) - only_counted
        self._bounds_s = bounds_s
        self._tallies: dict[Labels, Tally] = {}

    def of(self, labels: Labels) -> Tally:
        """The tally of these labels, to be kept: finding it costs as much as counting."""
        return self._tallies.setdefault(labels, Tally(self._bounds_s))

    def describe(self) -> Iterable[Metric]:
        """Their names, of which no other metric may have one."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        counter = CounterMetricFamily(*self._name, labels=self._labels)
        together: dict[Labels, list[Tally]] = {}
        for labels, tally in self._tallies.items():
            counter.add_metric(labels, tally.count)
            together.setdefault(labels[: self._timed_labels], []).append(tally)
        yield counter
        histogram = HistogramMetricFamily(*self._timed, labels=self._labels[: self._timed_labels])
        ends = [*map(floatToGoString, self._bounds_s), "+Inf"]
        for labels, tallies in together.items():
            counts = accumulate(map(sum, zip(*(tally.buckets for tally in tallies), strict=True)))
            histogram.add_metric(labels, list(zip(ends, counts, strict=True)), sum(t.total_s for t in tallies))
        yield histogram
