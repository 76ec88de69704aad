"""Where acknowledgements may be sent: a callback URL makes us call, so it has to be an address of the KMS that gave it.

What it says of host and port is compared with what is configured and never used.
"""

import re
from urllib.parse import urlsplit

from keyhop.service.etsi020.models import MAX_CALLBACK_URL
from keyhop.service.etsi020.problems import MISSING_PARAMETERS, Problem

HTTPS_PORT = 443
_VISIBLE = re.compile(r"[!-~]+")
_REFUSED = "ack_callback_url is not an address of this KMS"


def origin_of(url: str) -> tuple[str, int] | None:
    """Host and port of an absolute https URL without user, fragment or anything strange; else None."""
    if len(url) > MAX_CALLBACK_URL or not _VISIBLE.fullmatch(url) or "\\" in url or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not host or "@" in parts.netloc:
        return None
    return host, HTTPS_PORT if port is None else port


class Callbacks:
    """The addresses of one KMS: `urls` are those that its operator gave us."""

    def __init__(self, urls: tuple[str, ...], *, required: bool) -> None:
        """`required` says that there has to be a callback: no synchronous calls."""
        self._required = required
        self._bases = {origin: url for url in urls if (origin := origin_of(url)) is not None}

    def checked(self, url: str | None) -> str | None:
        """The URL with our own notion of its host and port; None in a synchronous call. Raises Problem, 400."""
        if url is None:
            if self._required:
                raise Problem(400, MISSING_PARAMETERS, reason="ack_callback_url is required")
            return None
        origin = origin_of(url)
        base = self._bases.get(origin) if origin else None
        if base is None:
            raise Problem(400, reason=_REFUSED)
        ours, theirs = urlsplit(base), urlsplit(url)
        query = f"?{theirs.query}" if theirs.query else ""
        return f"https://{ours.netloc}{theirs.path}{query}"
