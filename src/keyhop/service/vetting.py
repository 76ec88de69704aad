"""Whether a slave may have what was found for it: by the way that it came, by what made the bytes, and by their age.

The master's KME hands out bytes that are no older than a key of the pair may be; the slave has as long again to fetch
them. Both KMEs go by their own policy.
"""

from collections.abc import Iterable

from keyhop.core.clock import Clock
from keyhop.core.combiners import Combiner
from keyhop.core.errors import BadRequest, Unauthorised
from keyhop.core.origin import hides_from, kind_of
from keyhop.core.records import RecordBook, RecordOrigin
from keyhop.core.streams import Admission, Age
from keyhop.network.hybrid.combining import COMBINERS
from keyhop.service.lookup import NOT_FOUND, Found, InRecord, InStream
from keyhop.service.policy import PairPolicy

AS_LONG_AGAIN = 2
RELAYED = "these SAEs may only share keys of a link, and this one was relayed"


def check(found: Iterable[Found], policy: PairPolicy, records: RecordBook, clock: Clock) -> None:
    """Raises BadRequest for bytes that are too old, Unauthorised for what the policy does not allow."""
    admission = policy.admission
    for each in found:
        origin = records.origin(each.record_id) if isinstance(each, InRecord) else None
        if origin is not None:
            _check_made(origin, policy)
        if policy.direct_only and isinstance(each, InStream) and each.stream.ref.route != "direct":
            raise Unauthorised(RELAYED)
        if admission is not None:
            for age in _ages(each, records):
                _check_age(age, admission, clock.wall())
        if origin is not None:
            _check_ways(origin, policy)


def _check_made(origin: RecordOrigin, policy: PairPolicy) -> None:
    if origin.expanded and policy.when_dry != "expand":
        raise Unauthorised("these SAEs may not share expanded keys")
    if policy.hybrid != "none":
        _check_combined(origin, COMBINERS[policy.hybrid])


def _check_ways(origin: RecordOrigin, policy: PairPolicy) -> None:
    """A key is no safer than the pads that it came under, or the way that it was relayed."""
    for way in origin.ways:
        if policy.direct_only and hides_from(way) is not None:
            raise Unauthorised(RELAYED)
        if policy.admission is not None:
            _check_source(way, policy.admission, "came by way of a {}")


def _check_combined(origin: RecordOrigin, combiner: Combiner) -> None:
    """What has not left this KME needs no protection; what nobody asks to be combined may be so all the same."""
    is_from_here = not origin.batch and origin.source != "etsi020"
    if origin.combiner != combiner and not (is_from_here and origin.combiner is None):
        raise Unauthorised("these SAEs may only share keys that were combined with ML-KEM in the way of their policy")


def _check_age(age: Age, admission: Admission, now: float) -> None:
    if admission.max_age_s is not None and now - age.produced_at > AS_LONG_AGAIN * admission.max_age_s:
        raise BadRequest(NOT_FOUND)
    _check_source(age.source, admission, "a {} made")


def _check_source(source: str, admission: Admission, how: str) -> None:
    if admission.admits_source(source):
        return
    kind, needed, least = kind_of(source), hides_from(source), admission.least_paths
    if needed is not None and needed < least:
        only = f"these SAEs may only share keys that nobody on fewer than {least} paths knows"
        raise Unauthorised(f"{only}, and this one came by way of a {kind}")
    raise Unauthorised(f"these SAEs may not share keys that {how.format(kind)}")


def _ages(found: Found, records: RecordBook) -> list[Age]:
    if isinstance(found, InStream):
        return found.stream.ages(found.place, found.number)
    if isinstance(found, InRecord):
        origin = records.origin(found.record_id)
        return [Age(origin.created_at, origin.source)]
    return []
