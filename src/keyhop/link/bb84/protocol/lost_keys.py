"""Authentication keys that were spent on conversations which broke off before they authenticated anything.

Greetings and farewells are not authenticated: whoever can put messages onto the line can end any conversation, and each
end costs a key if one is in use. So the receiver, who asks for keys, waits between them, longer after each that was
lost, and the transmitter does not greet meanwhile. A node that is restarted now and then hardly notices; one whose
conversations are broken off all the time loses a dozen keys an hour.
"""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 300.0
ENOUGH_FOR_ALARM = 4


class LostKeys:
    """How many were lost since the last round that was authenticated.

    `not_before_s` is the monotonic time from which on the next one may be asked for.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self.not_before_s = float("-inf")

    def lost(self, now_s: float) -> str | None:
        """One was lost; what to tell an operator, once in a row."""
        self._in_a_row += 1
        doublings = min(self._in_a_row - 1, 30)
        self.not_before_s = now_s + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**doublings)
        if self._in_a_row != ENOUGH_FOR_ALARM:
            return None
        return (
            f"{ENOUGH_FOR_ALARM} conversations in a row broke off before they were authenticated, each at the cost "
            "of an authentication key: somebody may be interfering with the classical channel"
        )

    def none_lost(self) -> None:
        """A round was authenticated."""
        self._in_a_row = 0
        self.not_before_s = float("-inf")
