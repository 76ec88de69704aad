"""A task that fails is noticed by nobody who does not wait for it: this one tells."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any


def watched(work: Coroutine[Any, Any, None], on_failure: Callable[[Exception], None]) -> asyncio.Task[None]:
    """A task on the running loop. `on_failure` gets what ends it, unless it is cancelled."""
    task = asyncio.create_task(work)
    task.add_done_callback(partial(_tell, on_failure))
    return task


def _tell(on_failure: Callable[[Exception], None], task: asyncio.Task[None]) -> None:
    if not task.cancelled() and isinstance(failure := task.exception(), Exception):
        on_failure(failure)
