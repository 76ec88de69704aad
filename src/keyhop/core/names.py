"""What to tell somebody who named a thing that is not there."""

import difflib
from collections.abc import Iterable
from itertools import islice

_LISTED = 12


def hint_of_names(written: str, known: Iterable[str], they_are: str) -> str:
    """`did you mean "rate"?`; where no name is near, the first ones that there are, behind `they_are`."""
    names = list(known)
    near = difflib.get_close_matches(written, names, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{near[0]}"?'
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{they_are}: {', '.join(islice(names, _LISTED)) or 'none'}{more}"
