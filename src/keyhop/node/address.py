"""`host:port`, as addresses are written in the configuration; IPv6 addresses stand in brackets."""

import re

from keyhop.core.errors import ConfigurationError

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[0-9]{1,5})")
_HIGHEST_PORT = 65_535


def host_and_port(text: str, where: str, *, lowest_port: int = 1) -> tuple[str, int]:
    """Host and port of an address. ConfigurationError, naming `where`, when it is not one."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not lowest_port <= int(found["port"]) <= _HIGHEST_PORT or not _has_labels(found["host"]):
        raise ConfigurationError(
            f'{where} = "{text}" is not an address', hint='write host:port, for instance "127.0.0.1:18443"'
        )
    return found["v6"] or found["host"], int(found["port"])


def _has_labels(host: str | None) -> bool:
    """Whether each has 1 to 63 characters (RFC 1035, section 2.3.4): what else there is cannot be looked up."""
    return host is None or all(1 <= len(label) <= 63 for label in host.removesuffix(".").split("."))
