"""A witness for tests."""

from keyhop.core.errors import StoreFailure
from keyhop.core.witness.base import Statement


class MemoryWitness:
    """Outlives the KME that uses it. `fails` makes it refuse to write."""

    def __init__(self, statement: Statement | None = None) -> None:
        self.statement = statement
        self.fails = False

    def read(self) -> Statement | None:
        return self.statement

    def write(self, statement: Statement) -> None:
        if self.fails:
            raise StoreFailure("the witness failed")
        self.statement = statement

    def close(self) -> None:
        """There is nothing to let go of."""
