"""What the ledger keeps of a run: counts for `history`, and the report, bounded, for `show`."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from regsync.errors import RegsyncError
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.plan.codec import action_from, action_to_json, problem_from, problem_to_json, summary_to_json
from regsync.plan.fields import Fields, InvalidFieldError
from regsync.plan.model import Outcome, Problem, Report, Result, RunInfo, Summary, exit_code

MAX_RESULTS = 300  # of one run; those with a problem first
MAX_WARNINGS = 50
MAX_MIRRORS = 50  # that a run names
MAX_REPORT = 16 * 1024 * 1024  # bytes of one report, unpacked
_COUNTS = ("create", "update", "unchanged", "blocked", "deferred", "degraded", "failed")
_MAX_MESSAGE = 4096  # characters of one that is kept


class DamagedRecordError(RegsyncError):
    """A run in the ledger cannot be read."""

    def __init__(self, run: str, cause: str) -> None:
        super().__init__(f"run {run}: the ledger's record of it is damaged: {cause}")

    @property
    def hint(self) -> str:
        """Nothing else is harmed."""
        return "other runs can still be shown; `regsync history` lists them"


@dataclass(frozen=True, slots=True)
class Record:
    """A run as the ledger has it."""

    id: str
    command: str
    started: datetime
    ended: datetime
    summary: Summary
    mirrors: tuple[str, ...]  # at most MAX_MIRRORS of them
    more_mirrors: int
    exit_code: int
    interrupted: bool
    copied: int  # bytes

    @property
    def outcome(self) -> str:
        """One word for the exit code."""
        if self.interrupted:
            return "interrupted"
        return {0: "done", 3: "refused", 75: "try later"}.get(self.exit_code, "failed")


def recorded(report: Report, mirrors: Iterable[str]) -> str:
    """What `Ledger.record_run` takes as the summary of a run over `mirrors`."""
    names = list(mirrors)
    document: dict[str, object] = {
        **summary_to_json(report.summary),
        "specDigest": str(report.spec_digest),
        "mirrors": names[:MAX_MIRRORS],
        "moreMirrors": max(0, len(names) - MAX_MIRRORS),
        "exitCode": exit_code(report.problems),
        "interrupted": report.run.interrupted,
        "copied": report.copied,
    }
    if report.problems or report.warnings or not report.is_idle:
        packed = zlib.compress(json.dumps(_report_to_json(report)).encode())
        document["report"] = b64encode(packed).decode()
    return json.dumps(document)


def record_of(run: str, command: str, started: datetime, ended: datetime, summary: str) -> Record:
    """Read a row of the ledger; raises DamagedRecordError."""
    try:
        fields = Fields.of(loads(summary.encode()), "")
        return Record(
            run,
            command,
            started,
            ended,
            _summary(fields),
            fields.texts("mirrors"),
            fields.optional_count("moreMirrors") or 0,
            fields.optional_count("exitCode") or 0,
            fields.take("interrupted") is True,
            fields.optional_count("copied") or 0,
        )
    except (InvalidJSONError, InvalidFieldError) as cause:
        raise DamagedRecordError(run, str(cause)) from cause


def report_of(record: Record, summary: str) -> Report:
    """The report of a run as far as the ledger has it, with a warning for what is left out.

    Raises DamagedRecordError.
    """
    info = RunInfo(
        record.id,
        record.started,
        (record.ended - record.started).total_seconds(),
        interrupted=record.interrupted,
    )
    try:
        fields = Fields.of(loads(summary.encode()), "")
        packed = fields.take("report")
        if not isinstance(packed, str):
            return Report(fields.digest("specDigest"), (), record.summary.unchanged, info)
        return _report(Fields.of(loads(_unpacked(packed)), "report"), info)
    except (InvalidJSONError, InvalidFieldError, ValueError, zlib.error) as cause:
        raise DamagedRecordError(record.id, str(cause)) from cause


def _unpacked(packed: str) -> bytes:
    inflate = zlib.decompressobj()
    raw = inflate.decompress(b64decode(packed, validate=True), MAX_REPORT)
    if not inflate.eof:
        raise ValueError(f"cut short, or more than {MAX_REPORT} bytes")
    return raw


def _report_to_json(report: Report) -> dict[str, object]:
    changed = [result for result in report.results if not result.was_there]
    kept = sorted(changed, key=lambda result: (result.problem is None, result.action.order))[:MAX_RESULTS]
    return {
        "specDigest": str(report.spec_digest),
        "unchanged": report.summary.unchanged,
        "warnings": [_short(one) for one in report.warnings[:MAX_WARNINGS]],
        "requests": {name: dict(kinds) for name, kinds in report.run.requests.items()},
        "bytesRead": report.run.bytes_read,
        "ended": problem_to_json(_shortened(report.ended)),
        "results": [_result_to_json(result) for result in kept],
        "leftOut": len(changed) - len(kept),
    }


def _result_to_json(result: Result) -> dict[str, object]:
    action = replace(
        result.action, problem=_shortened(result.action.problem), reason=_short(result.action.reason)
    )
    return {
        "action": action_to_json(action),
        "outcome": result.outcome.value,
        "problem": problem_to_json(_shortened(result.problem)),
        "copied": result.copied,
        "reused": result.reused,
    }


def _report(fields: Fields, info: RunInfo) -> Report:
    requests = fields.take("requests")
    left_out = fields.count("leftOut")
    warnings = fields.texts("warnings")
    if left_out:
        warnings += (f"{left_out} more results of this run are not kept in the ledger",)
    ended = fields.optional_child("ended")
    report = Report(
        fields.digest("specDigest"),
        tuple(
            sorted(
                (_result(child) for child in fields.children("results", MAX_RESULTS)),
                key=lambda result: result.action.order,
            )
        ),
        fields.count("unchanged"),
        replace(info, requests=_requests(requests), bytes_read=fields.count("bytesRead")),
        warnings,
        problem_from(ended) if ended is not None else None,
    )
    fields.done()
    return report


def _result(fields: Fields) -> Result:
    action = fields.optional_child("action")
    problem = fields.optional_child("problem")
    if action is None:
        raise InvalidFieldError(fields.path, "has no action")
    result = Result(
        action_from(action),
        fields.choice("outcome", Outcome),
        problem_from(problem) if problem is not None else None,
        fields.count("copied"),
        fields.count("reused"),
    )
    fields.done()
    return result


def _requests(value: object) -> dict[str, dict[str, int]]:
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise InvalidFieldError("report.requests", "expected an object of objects")
    return {
        str(name): {str(kind): count for kind, count in kinds.items() if isinstance(count, int)}
        for name, kinds in value.items()
    }


def _summary(fields: Fields) -> Summary:
    delete = fields.optional_count("delete")
    return Summary(delete=delete, **{name: fields.count(name) for name in _COUNTS})


def _shortened(problem: Problem | None) -> Problem | None:
    if problem is None:
        return None
    hint = _short(problem.hint) if problem.hint is not None else None
    return replace(problem, message=_short(problem.message), hint=hint)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"
