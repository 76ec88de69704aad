"""One lab of real node processes for all tests that leave it as it was."""

from collections.abc import Iterator

import pytest

from keyhop.lab import Inventory, Lab


@pytest.fixture(scope="session")
def two_sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`two-sites`, running. Tests that revoke, reload or stop something bring up a lab of their own."""
    lab = Lab.up("two-sites-paced", tmp_path_factory.mktemp("two-sites"))
    yield lab
    lab.down()


@pytest.fixture(scope="session")
def inventory(two_sites: Lab) -> Inventory:
    """Who is in `two_sites`."""
    return two_sites.inventory()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients trust the lab's authority and reach loopback directly, whatever this machine's environment says."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "OPENSSL_CONF"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
