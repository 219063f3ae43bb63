"""The access log: every line is one line, whatever clients send, and requests never wait for it."""

import json
import threading
from pathlib import Path

import anyio
import jsonschema
import pytest

from regsync.server.access_log import AccessLog, LogFormat
from regsync.server.gathered import Gathered
from regsync.store.errors import StoreDamagedError
from tests.server.exchanges import exchange, request
from tests.support.clock import START, FrozenClock

pytestmark = pytest.mark.anyio

EVENTS = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "event.schema.json"
HOSTILE = '/v2/a"b\\c/\x1b[31m\r\nforged line\xff'


async def written(form: LogFormat, *answered: object) -> str:
    """What a log writes of these."""
    parts: list[str] = []
    log = AccessLog(parts.append, FrozenClock(), form)
    for one in answered:
        log.answered(one)  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.run)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return "".join(parts)


@pytest.mark.parametrize("form", LogFormat)
async def test_a_hostile_request_is_one_line_of_ascii(form: LogFormat) -> None:
    text = await written(form, exchange(request('G"\n', HOSTILE), 404, who='alice"\n'))
    assert text.isascii()
    assert text.count("\n") == 1
    assert "\x1b" not in text


async def test_a_line_of_json_says_who_did_what_and_when() -> None:
    asked = request("PUT", HOSTILE, query="token=hunter2", headers={"authorization": "Bearer hunter2"})
    line = json.loads(await written(LogFormat.JSON, exchange(asked, 201, who="builder")))
    jsonschema.validate(line, json.loads(EVENTS.read_text()))
    assert line["path"] == HOSTILE
    assert line["time"] == START.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert (line["who"], line["from"], line["status"], line["id"]) == ("builder", "192.0.2.7", 201, "id-1")
    assert "hunter2" not in json.dumps(line)


async def test_a_client_that_left_has_no_status() -> None:
    assert json.loads(await written(LogFormat.JSON, exchange(request(), None)))["status"] is None
    assert " --- GET " in await written(LogFormat.TEXT, exchange(request(), None))


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        pytest.param(StoreDamagedError("/data", "malformed"), "store /data: malformed", id="the store's"),
        pytest.param(KeyError("defect"), "KeyError: 'defect'", id="a defect"),
    ],
)
async def test_a_failure_is_told_under_the_id_of_its_request(failure: Exception, said: str) -> None:
    text = await written(LogFormat.JSON, exchange(request(), 500, failure=failure))
    second = json.loads(text.splitlines()[1])
    jsonschema.validate(second, json.loads(EVENTS.read_text()))
    assert (second["event"], second["level"], second["id"]) == ("request-failed", "error", "id-1")
    assert said in second["message"]


async def test_lines_that_nobody_takes_are_counted_and_hold_nobody_up() -> None:
    taken, free = list[str](), threading.Event()

    def slow(lines: list[str]) -> bool:
        free.wait()
        taken.extend(lines)
        return True

    gathered = Gathered(slow, every=0, most=3)  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gathered.run)
        gathered.add("first")
        while len(gathered):
            await anyio.lowlevel.checkpoint()
        for number in range(5):
            gathered.add(str(number))
        assert gathered.lost == 2
        free.set()
        tasks.cancel_scope.cancel()
    assert taken == ["first", "0", "1", "2"]
