"""What a process keeps in memory."""

import re
from pathlib import Path

MIB = 1 << 20


def rss_mib(pid: int) -> float:
    """Its resident set now."""
    return _kib(pid, "VmRSS") * 1024 / MIB


def peak_rss_mib(pid: int) -> float:
    """The largest since its start, or since `forget_peak`."""
    return _kib(pid, "VmHWM") * 1024 / MIB


def forget_peak(pid: int) -> None:
    """From now on counts what comes."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _kib(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])
