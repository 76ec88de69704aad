"""What a process keeps in memory, and where files are kept there."""

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


def in_memory() -> Path | None:
    """A directory that is on no disk, where there is one."""
    path = Path("/dev/shm")
    return path if path.is_dir() else None


def _kib(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])
