"""structlog and the standard library's logging (asyncio, uvicorn) in one stream, without key bytes.

Everything passes `plain`: events, their fields, and the arguments of the standard library's records, before they
are put into text. Tracebacks name functions and lines, never the values of variables.
"""

import logging
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from keyhop.node.telemetry.plain import exception_text, plain

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

_INTERNAL = ("_record", "_from_structlog")
# Of uvicorn, which serves the management API only, an operator would take "Started server process" for the node's.
_QUIET = dict.fromkeys(("uvicorn.error", "uvicorn.access", "httpx", "httpcore"), logging.WARNING)


def configure_logging(level: LogLevel, log_format: LogFormat, *, stream: TextIO | None = None) -> None:
    """Routes all logging of the process to `stream` (stderr when None), one event per line."""
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _render_exception,
    ]
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.addFilter(_make_arguments_plain)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                _make_plain,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(log_format),
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # so that SIGHUP can change the level of loggers that exist
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)


def _renderer(log_format: LogFormat) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=False)


def _render_exception(logger: Any, method: str, event: EventDict) -> EventDict:
    """Our own rendering: the usual ones may show variables, or the text of an exception that quotes bytes."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    failure = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(failure, BaseException):
        frames = traceback.extract_tb(failure.__traceback__)
        event["error"] = exception_text(failure)
        event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-16:]]
        cause = failure.__cause__ or failure.__context__
        if cause is not None:
            event["cause"] = exception_text(cause)
    return event


def _make_plain(logger: Any, method: str, event: EventDict) -> EventDict:
    return {key: value if key in _INTERNAL else plain(value) for key, value in event.items()}


def _make_arguments_plain(record: logging.LogRecord) -> bool:
    """The standard library puts arguments into text by itself, so they are made plain before."""
    if hasattr(record, "_logger"):  # structlog's own event: the formatter sees to it
        return True
    record.msg = str(plain(record.msg))
    if isinstance(record.args, Mapping):
        record.args = plain(record.args)
    elif record.args:
        record.args = tuple(plain(value) for value in record.args)
    record.exc_text = record.stack_info = None
    return True
