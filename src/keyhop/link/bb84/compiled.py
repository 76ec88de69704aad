"""Kernels: functions that numba compiles to machine code, once per machine, and that run without the GIL."""

from collections.abc import Callable
from typing import cast

import numba


def compiled[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compiles at the first call and keeps the code on disk. Not for functions that call themselves."""
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True, boundscheck=False)(function))
