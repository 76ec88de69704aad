"""Logs: one stream, and no key bytes in it by any way."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from keyhop.core.keys import KeyMaterial
from keyhop.node.telemetry import configure_logging
from keyhop.node.telemetry.plain import MAX_ITEMS, MAX_TEXT, plain

SECRET = b"0123456789abcdef-secret-key-bytes"
TRACES = (SECRET.decode(), SECRET.hex(), "6162636465")


class Holder:
    """Its repr would show what it holds."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"Holder({self.secret!r})"


DISGUISES: list[Any] = [
    SECRET,
    bytearray(SECRET),
    memoryview(SECRET),
    KeyMaterial(SECRET),
    Holder(SECRET),
    ValueError(SECRET),
    [SECRET, (SECRET,), {SECRET}],
    {"nested": {"deeper": [SECRET]}},
    {SECRET: 1},
    f"received {SECRET!r} and {bytearray(SECRET)!r}",
    f"cut off {SECRET!r}"[:-1],
]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def assert_clean(text: str) -> None:
    assert text
    for trace in TRACES:
        assert trace not in text


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda value: type(value).__name__)
def test_key_bytes_never_reach_the_log(log_format: Any, disguise: Any) -> None:
    stream = io.StringIO()
    configure_logging("debug", log_format, stream=stream)
    structlog.get_logger("keyhop").info("given out", value=disguise)
    structlog.get_logger("keyhop").info(disguise)
    logging.getLogger("asyncio").error("protocol: %r", disguise)
    logging.getLogger("asyncio").error(disguise)
    assert len(stream.getvalue().splitlines()) == 4
    assert_clean(stream.getvalue())


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_show_neither_variables_nor_bytes_in_the_exception(log_format: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", log_format, stream=stream)

    def fails(local: bytes) -> None:
        raise ValueError(local)

    for log in (structlog.get_logger("a").exception, logging.getLogger("b").exception):
        try:
            fails(SECRET)
        except ValueError:
            log("it failed")
    assert_clean(stream.getvalue())
    assert stream.getvalue().count("ValueError") == 2
    assert stream.getvalue().count("test_node_logs.py") >= 2


def test_an_unhandled_failure_on_the_loop_is_logged_without_bytes() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream=stream)

    async def scenario() -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "fatal", "exception": ValueError(SECRET), "data": SECRET}
        )

    asyncio.run(scenario())
    assert "fatal" in stream.getvalue()
    assert_clean(stream.getvalue())


def test_json_is_one_object_per_line_with_the_fields_given() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream=stream)
    structlog.get_logger("keyhop.node").info("peer\nconnected", peer="bob", seconds=0.5, good=True)
    logging.getLogger("uvicorn.error").warning("late by %d ms", 20)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["peer"], first["seconds"], first["good"]) == ("peer\nconnected", "bob", 0.5, True)
    assert (first["level"], first["logger"]) == ("info", "keyhop.node")
    assert (second["event"], second["level"], second["logger"]) == ("late by 20 ms", "warning", "uvicorn.error")


def test_what_is_below_the_level_is_not_logged() -> None:
    stream = io.StringIO()
    configure_logging("warning", "json", stream=stream)
    logger = structlog.get_logger("keyhop")
    logger.info("no")
    logging.getLogger("asyncio").info("no")
    assert stream.getvalue() == ""
    configure_logging("info", "json", stream=stream)
    logger.info("yes")
    assert "yes" in stream.getvalue()


def test_plain_values_are_bounded() -> None:
    assert len(plain("x" * 10 * MAX_TEXT)) < MAX_TEXT + 50
    assert len(plain(list(range(10 * MAX_ITEMS)))) == MAX_ITEMS
    endless: list[Any] = []
    endless.append(endless)
    assert "list" in str(plain(endless))


def test_plain_values_stay_what_they_are() -> None:
    assert plain({"a": [1, 2.5, None, True, "text"]}) == {"a": [1, 2.5, None, True, "text"]}
    assert plain(KeyMaterial(bytes(32))) == "<32 bytes of key>"
    assert plain(OSError(2, "No such file")) == "FileNotFoundError: 2, No such file"


def test_the_management_server_does_not_announce_itself_as_the_node() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream=stream)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 42)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["Invalid HTTP request received."]
