"""A failure that ends a command with an exit code of its own."""

from keyhop.core.errors import KeyhopError


class CommandFailed(KeyhopError):
    """`exit_code` is for scripts; `status` is the HTTP code of a KME that refused, None where there was none."""

    def __init__(self, message: str, *, exit_code: int, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
        self.status = status
