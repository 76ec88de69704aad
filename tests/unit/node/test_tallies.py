"""What is counted cheaply reads as the library's own counters and histograms do."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from keyhop.node.telemetry.tallies import Tallies

BOUNDS_S = (1e-4, 2.5e-3, 0.5, 1, 2.5)
durations = st.one_of(st.sampled_from(BOUNDS_S), st.floats(0, 10))
events = st.tuples(st.sampled_from(["enc", "dec"]), st.sampled_from(["200", "503"]), durations)


def lines(registry: CollectorRegistry) -> list[str]:
    text = generate_latest(registry).decode()
    # the library adds when it began to count, which nobody asks for
    return sorted(line for line in text.splitlines() if "_created" not in line)


@given(st.lists(events, max_size=30))
def test_it_reads_as_the_library_would_have_it(seen: list[tuple[str, str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallies = Tallies(("answers", "How many."), ("time_seconds", "How long."), ("call", "code"), BOUNDS_S, 1)
    ours.register(tallies)
    counter = Counter("answers", "How many.", ("call", "code"), registry=theirs)
    histogram = Histogram("time_seconds", "How long.", ("call",), buckets=BOUNDS_S, registry=theirs)
    for call, code, duration_s in seen:
        tallies.of((call, code)).add(duration_s)
    for code in ("200", "503"):  # sums are rounded in the order of their parts
        for call, its_code, duration_s in seen:
            if its_code == code:
                counter.labels(call, code).inc()
                histogram.labels(call).observe(duration_s)
    assert _rounded(lines(ours)) == _rounded(lines(theirs))


def test_without_labels_it_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    tallies = Tallies(("commits", "How many."), ("commit_seconds", "How long."), (), BOUNDS_S)
    registry.register(tallies)
    tallies.of(())
    assert registry.get_sample_value("commits_total") == 0
    tallies.of(()).add(0.3)
    assert registry.get_sample_value("commits_total") == 1
    assert registry.get_sample_value("commit_seconds_bucket", {"le": "0.5"}) == 1
    assert registry.get_sample_value("commit_seconds_bucket", {"le": "0.0025"}) == 0


def _rounded(text: list[str]) -> list[tuple[str, str]]:
    parts = [line.rpartition(" ") for line in text]
    return [(name, value if name.startswith("#") else f"{float(value):.9g}") for name, _, value in parts]
