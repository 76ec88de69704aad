"""The socket for a TLS off-loader: who may connect, and what is in its way."""

import grp
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.node.listening import listen_privately


@pytest.fixture
def path() -> Iterator[Path]:
    """Short enough for a socket."""
    with TemporaryDirectory() as directory:
        yield Path(directory) / "saes.sock"


def test_only_our_user_may_connect_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        listen_privately(path, None).close()
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_group_may_connect_too(path: Path) -> None:
    ours = grp.getgrgid(os.getgid())
    listen_privately(path, ours.gr_name).close()
    status = path.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, ours.gr_gid)


def test_a_socket_that_a_crash_left_is_replaced(path: Path) -> None:
    listen_privately(path, None).close()
    with closing(listen_privately(path, None)) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.listen()
        client.connect(str(path))


def test_one_that_somebody_listens_on_is_not(path: Path) -> None:
    with closing(listen_privately(path, None)) as listener:
        listener.listen()
        with pytest.raises(ConfigurationError, match="somebody listens there"):
            listen_privately(path, None)


def test_a_file_is_not_replaced(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="Address already in use"):
        listen_privately(path, None)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "group", "reason"),
    [
        ("nowhere/saes.sock", None, "No such file or directory"),
        ("x" * 200, None, "AF_UNIX path too long"),
        ("saes.sock", "no-such-group", "there is no group no-such-group"),
    ],
)
def test_what_cannot_be_had_is_told(path: Path, name: str, group: str | None, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        listen_privately(path.parent / name, group)
