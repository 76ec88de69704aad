"""What every test may rely on.

`requires_tool("curl")` marks a test that runs a program of the system. Where it is missing the test is skipped, except
in CI, where a missing program is a failure: a test that never runs anywhere proves nothing.

Coroutine tests carry `pytest.mark.anyio` and run on asyncio.
"""

import os
import shutil

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires_tool(*names): programs of the system that the test runs")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires_tool"):
        missing = [name for name in marker.args if shutil.which(name) is None]
        if not missing:
            continue
        reason = f"not installed: {', '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(f"{reason} (.ci/run installs it)", pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
