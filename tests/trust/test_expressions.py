"""Conditions in CEL: what they speak of, what they say when they do not hold, and where they end."""

import gc
import json
import os
import signal
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.trust.envelopes import Image, Signer
from regsync.trust.expressions import (
    MAX_LENGTH,
    MAX_PREDICATE,
    Expressions,
    InvalidExpressionError,
    Variables,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
IMAGE = Image("hub", RepositoryName.parse("acme/app"), Tag.parse("v1"), Digest.of(b"app"))
CI = Signer(
    "ci",
    "id",
    "https://issuer.example",
    "https://ci.example/release.yml",
    {"runnerEnvironment": "github-hosted"},
)


@pytest.fixture(scope="module")
def expressions() -> Expressions:
    return Expressions()


def about(predicate: object = None, *, signed_at: datetime | None = None) -> Variables:
    statement = {"predicateType": "x", "predicate": predicate}
    return Variables(statement, json.dumps(statement).encode(), CI, signed_at, IMAGE, NOW)


def is_running(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def worker(expressions: Expressions) -> int:
    """The one process that evaluates: the child of ours that runs the worker's file."""
    expressions.check("true")
    assert expressions._process is not None
    return expressions._process.pid


@pytest.mark.parametrize(
    "expression",
    [
        "predicate.builder.id.startsWith('https://ci.example/')",
        "statement.predicateType == 'x'",
        "signer.issuer == 'https://issuer.example' && signer.subject.endsWith('release.yml')",
        "signer.extensions.runnerEnvironment == 'github-hosted'",
        "image.registry == 'hub' && image.repository == 'acme/app' && image.tag == 'v1'",
        f"image.digest == '{IMAGE.digest}'",
        "now - signedAt < duration('24h')",
        "signedAt != null",
        "now - timestamp(predicate.finishedOn) < duration('24h')",
        "predicate.list.all(one, one.severity in ['LOW', 'HIGH'])",
        "has(predicate.builder) && !has(predicate.other)",
        "predicate.builder.id.matches('^https://ci[.]example/.*$')",
        "predicate.score < 7.5 && predicate.count == 3",
    ],
)
def test_an_expression_speaks_of_the_attestation_and_of_who_signed_it(
    expressions: Expressions, expression: str
) -> None:
    predicate = {
        "builder": {"id": "https://ci.example/release.yml@refs/tags/v1"},
        "finishedOn": "2026-11-24T01:02:03Z",
        "list": [{"severity": "LOW"}, {"severity": "HIGH"}],
        "score": 7,
        "count": 3,
    }
    expressions.check(expression)
    variables = about(predicate, signed_at=datetime(2026, 11, 24, tzinfo=UTC))
    assert expressions.unmet([expression], variables) is None


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        pytest.param("predicate.a == 2", "it is false", id="false"),
        pytest.param("predicate.b.c == 2", "there is no predicate.b", id="a missing field"),
        pytest.param("predicate.l.all(one, one.x == 1)", "there is no one.x", id="missing in a list"),
        pytest.param("predicate.a", "it gives INT, not a bool", id="no bool"),
        pytest.param("1 / (predicate.a - 1) == 1", "divide by zero", id="a division by zero"),
        pytest.param("predicate.l[7].x == 1", "Index error: index=7 size=1", id="beyond a list"),
        pytest.param(
            "now - signedAt < duration('1h')", "signedAt is null, since no time is verified", id="no time"
        ),
    ],
)
def test_what_does_not_hold_is_shown_with_the_path(
    expressions: Expressions, expression: str, reason: str
) -> None:
    said = expressions.unmet(["true", expression, "true"], about({"a": 1, "l": [{"y": 1}]}))
    assert said is not None
    assert reason in said
    assert said.endswith(f" in: {expression}")


def test_a_number_that_cel_does_not_have_fails_what_reads_it(expressions: Expressions) -> None:
    said = expressions.unmet(["predicate.big > 1"], about({"big": 2**70}))
    assert said is not None
    assert "out of range" in said


@pytest.mark.parametrize("key", ["text", "te\0xt"])
def test_a_text_does_not_end_before_its_end(expressions: Expressions, key: str) -> None:
    """The library takes `good\\u0000bad` for `good`."""
    said = expressions.unmet(["predicate.text == 'good'"], about({key: "good\0bad"}))
    assert said is not None
    assert "it holds the character U+0000" in said
    named = replace(about({}), signer=replace(CI, subject=f"{CI.subject}\0evil"))
    assert expressions.unmet(["signer.subject.endsWith('release.yml')"], named) is not None


def test_the_time_is_null_where_nothing_proves_it(expressions: Expressions) -> None:
    assert expressions.unmet(["signedAt == null"], about()) is None
    assert expressions.unmet(["signedAt == null"], about(signed_at=NOW)) is not None


@pytest.mark.parametrize(
    ("expression", "cause"),
    [
        pytest.param("predicate.a ==", "line 1, column 15: Syntax error", id="half"),
        pytest.param(
            "pred.a == 1", "line 1, column 5: undeclared reference to 'pred.a'", id="an unknown name"
        ),
        pytest.param("predicate.a\n  .nope()", "line 2, column 8: undeclared reference", id="on its line"),
        pytest.param("1 + 1", "it gives INT, not a bool", id="no bool"),
        pytest.param("now", "not a bool", id="a time"),
        pytest.param("(" * 500 + "true" + ")" * 500, "recursion limit exceeded", id="deep"),
        pytest.param(" + ".join(["1"] * 1000) + " == 1000", "max recursion depth", id="long chains"),
        pytest.param(" " * MAX_LENGTH + "true", f"longer than {MAX_LENGTH} characters", id="long"),
    ],
)
def test_what_is_no_expression_is_refused_before_anything_is_evaluated(
    expressions: Expressions, expression: str, cause: str
) -> None:
    with pytest.raises(InvalidExpressionError) as raised:
        expressions.check(expression)
    assert cause in raised.value.cause


HEAVY = "predicate.all(a, predicate.all(b, predicate.all(c, predicate.all(d, a + b + c + d >= 0))))"
SLOW = "predicate.list.all(one, !predicate.text.matches('(y|x)+q'))"
STRAINING = {"list": list(range(9_900)), "text": "y" * 4_000_000}


def test_comprehensions_within_each_other_come_to_an_end(expressions: Expressions) -> None:
    variables = replace(about(), statement={"predicate": list(range(1000))})
    said = expressions.unmet([HEAVY], variables)
    assert said == f"it takes more than 10000 steps through lists in: {HEAVY}"


@dataclass(frozen=True)
class Strained:
    """What an expression that would take minutes came to; each time costs 2 s of a processor."""

    expressions: Expressions
    said: str | None
    seconds: float
    process: int  # that evaluated it
    turns: int  # that another thread took meanwhile


@pytest.fixture(scope="module")
def strained() -> Strained:
    expressions = Expressions()
    process, answers = worker(expressions), []
    waiting = Thread(target=lambda: answers.append(expressions.unmet([SLOW], about(STRAINING))))
    began, turns = monotonic(), 0
    waiting.start()
    while waiting.is_alive():
        waiting.join(0.01)
        turns += 1
    return Strained(expressions, answers[0], monotonic() - began, process, turns)


def test_an_expression_that_would_take_minutes_is_ended_and_leaves_nothing_behind(strained: Strained) -> None:
    assert strained.said == f"it took longer than 2 s of a processor and was ended in: {SLOW}"
    assert strained.seconds < 60  # of wall clock, on a machine that is busy
    assert not is_running(strained.process)


def test_other_threads_run_while_one_waits(strained: Strained) -> None:
    assert strained.turns > 20


def test_an_image_with_many_attestations_waits_for_a_slow_expression_once(strained: Strained) -> None:
    quick = about({"list": [], "text": ""})
    said = strained.expressions.unmet([SLOW], quick)
    assert said is not None
    assert "over another attestation of the image" in said
    other = replace(quick, image=replace(IMAGE, digest=Digest.of(b"other")))
    assert strained.expressions.unmet([SLOW], other) is None
    assert strained.expressions.unmet(["predicate.a == 1"], about({"a": 1})) is None


def test_a_predicate_that_is_too_large_is_not_looked_at(expressions: Expressions) -> None:
    said = expressions.unmet(["true"], about({"text": "x" * (MAX_PREDICATE + 10_000)}))
    assert said is not None
    assert f"at most {MAX_PREDICATE} are looked at in: true" in said


def test_a_worker_that_breaks_down_fails_what_it_was_asked_and_is_replaced(expressions: Expressions) -> None:
    process = worker(expressions)
    os.kill(process, signal.SIGSTOP)
    answers: list[str | None] = []
    waiting = Thread(target=lambda: answers.append(expressions.unmet(["true"], about())))
    waiting.start()
    os.kill(process, signal.SIGKILL)
    waiting.join()
    assert answers[0] is None or "its evaluation broke down (exit status -9) in: true" in answers[0]
    assert expressions.unmet(["true"], about()) is None


def test_nothing_is_started_before_there_is_an_expression() -> None:
    expressions = Expressions()
    assert expressions.unmet([], about()) is None
    assert expressions._process is None


def test_the_worker_ends_with_the_policies_it_works_for() -> None:
    expressions = Expressions()
    process = worker(expressions)
    assert is_running(process)
    del expressions
    gc.collect()
    assert not is_running(process)
