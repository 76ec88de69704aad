"""Short leases, so that much happens to them in few steps."""

from collections.abc import Iterator

import pytest

from keyhop.network import leasing


@pytest.fixture(autouse=True, scope="module")
def _short_leases() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leasing, "MIN_LEASE_UNITS", 128)
        yield
