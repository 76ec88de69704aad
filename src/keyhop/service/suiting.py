"""What suits all of the slaves that have the same key: under which pads it travels, and by which ways."""

from collections.abc import Sequence

from keyhop.core.priority import USUAL_PRIORITY
from keyhop.core.streams import Admission
from keyhop.service.courier import Way
from keyhop.service.policy import PairPolicy


def pads_for(policies: Sequence[PairPolicy]) -> Admission | None:
    """A key is no safer than its pad, so that may come only from what all slaves may have keys of."""
    all_given = [policy.admission for policy in policies if policy.admission is not None]
    limited = [each.sources for each in all_given if each.sources is not None]
    least_paths = max((each.least_paths for each in all_given), default=1)
    return Admission(frozenset.intersection(*limited) if limited else None, least_paths) if all_given else None


def way_for(policies: Sequence[PairPolicy], *, expanded: bool = False, fresh: int | None = None) -> Way:
    """As the strictest of the policies wants it. One that says nothing of relaying wants what is usual."""
    relaying = [policy.relaying for policy in policies if policy.relaying is not None]
    strictest = max(relaying, key=lambda terms: terms.strictness, default=None)
    priority = max((policy.priority for policy in policies), default=USUAL_PRIORITY)
    direct_only = any(policy.direct_only for policy in policies)
    as_usual = len(relaying) < len(policies)
    return Way(direct_only, strictest, as_usual, expanded, priority, fresh)
