"""Compiles everything that is to be compiled: once per machine, then it is on disk."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import keyhop.link.bb84

_SUFFIX = "_kernels"


def kernel_modules() -> Iterator[str]:
    """Names of the modules that hold kernels; each has a function `warm_up`."""
    for module in pkgutil.walk_packages(keyhop.link.bb84.__path__, "keyhop.link.bb84."):
        if module.name.endswith(_SUFFIX):
            yield module.name


def warm_up(progress: Callable[[str], None] = lambda module: None) -> None:
    """Calls every kernel once; `progress` is told the module before."""
    for name in sorted(kernel_modules()):
        progress(name)
        importlib.import_module(name).warm_up()
