"""The limit: nginx, one process, static files over the same mutual TLS, with the same revocation list."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keyhop.lab.ports import free_ports

READY_S = 5.0
_CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    open_file_cache max=16 inactive=1h;
    open_file_cache_valid 1h;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_client_certificate {ca};
        ssl_crl {crl};
        ssl_verify_client on;
        ssl_protocols TLSv1.3;
        ssl_conf_command NumTickets 0;
        root {directory}/files;
    }}
}}
"""


def find_nginx() -> str | None:
    """The program, if it is installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running one; it serves what is put into `files`."""

    pid: int
    port: int
    files: Path


@contextmanager
def nginx(directory: Path, *, ca: str, crl: str, certificate: str, key: str) -> Iterator[Nginx]:
    """One that keeps everything in `directory` and does not outlive the block; PEM files, the last two its own."""
    program = find_nginx()
    if program is None:
        raise RuntimeError("nginx is not installed")
    files = directory / "files"
    files.mkdir(parents=True)
    (port,) = free_ports(1)
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(directory=directory, port=port, certificate=certificate, key=key, ca=ca, crl=crl)
    )
    with subprocess.Popen(
        [program, "-p", str(directory), "-c", str(configuration)], stderr=subprocess.DEVNULL
    ) as process:
        try:
            _await_listening(process, port, directory / "error.log")
            yield Nginx(process.pid, port, files)
        finally:
            process.terminate()


def version() -> str:
    """As in `nginx/1.22.1`."""
    program = find_nginx()
    assert program is not None
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    return said.rsplit(maxsplit=1)[-1]


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nginx did not start: {log.read_text() if log.exists() else 'it left no log'}")
