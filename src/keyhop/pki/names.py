"""Names that go into certificates, checked before they do."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from cryptography import x509

from keyhop.core.errors import BadRequest, ConfigurationError
from keyhop.core.ids import MAX_NAME_LENGTH, sae_id

MAX_URI_LENGTH = 255

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.IGNORECASE)


def check_name(name: str) -> None:
    """A KME or SAE ID that also fits a subject CN (64 bytes) and a file name, or `ConfigurationError`."""
    try:
        sae_id(name)
        fits = len(name.encode()) <= MAX_NAME_LENGTH and not name.startswith(".") and not set(name) & set("/\\")
    except (BadRequest, UnicodeEncodeError):
        fits = False
    if not fits:
        raise ConfigurationError(
            f"{name!r} cannot be the name of a certificate",
            hint=f"1 to {MAX_NAME_LENGTH} visible characters, no slashes, no dot in front",
        )


def alternative_names(hosts: Sequence[str], uri: str | None) -> list[x509.GeneralName]:
    """The subject alternative names of `hosts` (DNS names or IP addresses) and a URI."""
    names = [_host_name(host) for host in hosts]
    return names if uri is None else [*names, _uri_name(uri)]


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        if len(host) <= 253 and _DNS_NAME.fullmatch(host):
            return x509.DNSName(host)
    raise ConfigurationError(
        f"{host!r} is neither a DNS name nor an IP address", hint="give a host without scheme and port"
    )


def _uri_name(uri: str) -> x509.GeneralName:
    visible = uri.isascii() and uri.isprintable() and " " not in uri
    if not visible or len(uri) > MAX_URI_LENGTH or not _scheme(uri):
        raise ConfigurationError(f"{uri!r} is not a URI", hint="for example: urn:example:sae:alicesae")
    return x509.UniformResourceIdentifier(uri)


def _scheme(uri: str) -> str:
    try:
        return urlsplit(uri).scheme
    except ValueError:
        return ""
