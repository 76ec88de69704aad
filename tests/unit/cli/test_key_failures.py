"""What `keyhop key` advises when there was no answer."""

import pytest

from keyhop.apps.client import TransportError
from keyhop.cli.failure import CommandFailed
from keyhop.cli.key_failures import told


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("https://kme: [SSL: SSLV3_ALERT_CERTIFICATE_REVOKED] sslv3 alert certificate revoked", "for another one"),
        ("https://kme: [Errno 111] Connection refused", "check that the KME runs at that address"),
    ],
)
def test_no_answer_says_where_to_look(message: str, advice: str) -> None:
    with pytest.raises(CommandFailed) as failed, told():
        raise TransportError(message)
    assert advice in (failed.value.hint or "")
