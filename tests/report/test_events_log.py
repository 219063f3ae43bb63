import json
from datetime import datetime

from handmade import BLOCKED, MOMENT, action
from jsonschema import Draft202012Validator

from regsync.content.errors import ContentError
from regsync.oci.reference import RepositoryName
from regsync.plan.model import Outcome, Result, Summary
from regsync.reconcile.events import (
    ActionFinished,
    ActionStarted,
    Event,
    RegistryWaited,
    RepositoryFinished,
    RepositorySelected,
    RepositoryStarted,
    Reused,
    RunFinished,
    Transferred,
)
from regsync.report.events_log import JsonLog, TextLog
from regsync.report.schemas import event_schema
from regsync.spec.model import Location

NGINX = Location("hub", RepositoryName("library/nginx"))
STORY: list[Event] = [
    RepositoryStarted("base", NGINX),
    RepositorySelected("base", NGINX, 12),
    RegistryWaited("hub.example.com", "hub.example.com: 429\x1b[2J; waiting 120 s, as it asks", 120.0),
    ActionStarted(action("1"), 100),
    Transferred("local", 50),
    Reused("local", 50),
    ActionFinished(Result(action("1"), Outcome.DONE, None, 50, 50)),
    ActionFinished(Result(action("2"), Outcome.BLOCKED, BLOCKED)),
    RepositoryFinished("base", NGINX, 10, 1, 1),
    RunFinished("12ab", ("base", "app"), "refused", Summary(create=1, blocked=1), 1.25, 2048, None),
]


class Stopped:
    def now(self) -> datetime:
        return MOMENT

    def monotonic(self) -> float:
        return 0.0

    def jitter(self, seconds: float) -> float:
        return 0.0

    def new_id(self) -> str:
        return "id"

    def new_secret(self) -> str:
        return "0" * 32


def test_people_get_a_line_per_repository_and_per_problem() -> None:
    lines: list[str] = []
    log = TextLog(lines.append)
    for event in STORY:
        log(event)
    assert lines == [
        "waiting: hub.example.com: 429\\x1b[2J; waiting 120 s, as it asks\n",
        "! base: local/library/nginx:2 blocked: the tag is immutable and moved at the source\n",
        "base: hub/library/nginx: 1 changed, 10 tags unchanged, 1 problem\n",
        "run 12ab: base, app: refused: 1 created, 1 blocked, 2.0 KiB copied in 1.2 s\n",
    ]


def test_machines_get_every_event_as_its_schema_says() -> None:
    lines: list[str] = []
    log = JsonLog(lines.append, Stopped())
    for event in STORY:
        log(event)
    log.note("waiting for the lease")
    log.error(ContentError("gone"))
    documents = [json.loads(line) for line in lines]
    validator = Draft202012Validator(event_schema())
    for document in documents:
        validator.validate(document)
    assert [document["event"] for document in documents] == [
        "repository-started",
        "repository-selected",
        "registry-waited",
        "action-started",
        "action-finished",
        "action-finished",
        "repository-finished",
        "run-finished",
        "note",
        "error",
    ]
    assert [document["level"] for document in documents].count("warning") == 3
