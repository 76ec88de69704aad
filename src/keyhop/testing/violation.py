"""What the checkers raise."""


class Violation(AssertionError):
    """A promise was broken; `promise` is its number, 0 for what goes without saying."""

    def __init__(self, promise: int, what: str) -> None:
        super().__init__(f"promise {promise}: {what}")
        self.promise = promise
