"""The columns that parts of the delivery benchmark have in common."""

from measure import Round
from report import Row


def disturbances(this: Round) -> Row:
    """How far the round is to be trusted."""
    return {
        "interrupted": this.interruptions / this.load.requests,
        "stolen": this.stolen,
        "neighbours": this.neighbours,
        "try": this.attempt,
    }


def name(this: Round) -> str:
    """What was asked, and whether all of it was answered."""
    load = this.load
    failed = [f"{count} {what}" for count, what in ((load.refused, "refused"), (load.lost, "lost")) if count]
    return f"{this.what} ({', '.join(failed)})" if failed else this.what


def of_nginx(this: Round, nginx: Round, idle: float = 0.0) -> float:
    """Requests per CPU-second of the server as a ratio to nginx, without what the server takes while `idle`."""
    return nginx.cpu_per_request_s() / this.cpu_per_request_s(idle)
