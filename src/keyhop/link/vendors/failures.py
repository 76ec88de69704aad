"""What went wrong on the way to a device, in words for operators.

HTTP libraries wrap what happened several times over, and OpenSSL's texts come with places in Python's source; the
words of the innermost failure, without those, say most.
"""

import os
import re
import socket
import ssl

MAX_REASON_LENGTH = 200
_MAX_WRAPPINGS = 10
_INTERNALS = re.compile(r"\[[A-Z0-9_: -]+\] ?| ?\(_ssl\.c:\d+\)")


def plain_reason(failure: BaseException) -> str:
    """One line about a failed connection, or a certificate or key that cannot be used; never what a device sent."""
    inner = _innermost(failure)
    match inner:
        case ssl.SSLCertVerificationError():
            words = f"certificate verify failed: {inner.verify_message.rstrip('.')}"
        case ssl.SSLError() if inner.reason:
            words = ("TLS: " if inner.library == "SSL" else "") + inner.reason.replace("_", " ").lower()
        case ssl.SSLError() | socket.gaierror():
            words = inner.strerror or str(inner)
        case OSError(errno=int(number)) if number > 0:
            words = os.strerror(number)
        case _:
            words = str(inner)
    words = _INTERNALS.sub("", " ".join(words.split())) or type(failure).__name__
    return "".join(c for c in words if c.isprintable())[:MAX_REASON_LENGTH]


def _innermost(failure: BaseException) -> BaseException:
    """The last in the chain of causes that says something."""
    told = failure
    for _ in range(_MAX_WRAPPINGS):
        inner = failure.__cause__ or failure.__context__
        if isinstance(failure, BaseExceptionGroup):
            inner = failure.exceptions[0]
        if inner is None:
            break
        failure = inner
        if isinstance(failure, OSError) and str(failure):
            told = failure
    return told
