"""What `check` found as JSON (DESIGN.md, section 4): what differs between equal runs stands under `run`."""

from collections.abc import Iterator

from regsync.plan.check import CheckReport, Compared, Reread, Row, State
from regsync.plan.codec import problem_to_json
from regsync.plan.document import API_VERSION, encode, timestamp

SUMMARY = {state: state.value for state in State} | {State.EVIDENCE_MISSING: "evidenceMissing"}


def render(report: CheckReport) -> Iterator[str]:
    """The JSON text in pieces."""
    return encode(document(report))


def document(report: CheckReport) -> dict[str, object]:
    """The report as JSON values, its rows lazy: for `encode`."""
    run = report.run
    values: dict[str, object] = {
        "apiVersion": API_VERSION,
        "kind": "CheckReport",
        "specDigest": str(report.spec_digest),
        "summary": {SUMMARY[state]: count for state, count in report.counts.items()},
        "warnings": sorted(report.warnings),
        "places": map(_compared, report.compared),
        "rows": map(row_to_json, report.rows),
        "run": {
            "id": run.id,
            "started": timestamp(run.started),
            "seconds": round(run.seconds, 3),
            "requests": {name: dict(kinds) for name, kinds in run.requests.items()},
        },
    }
    if report.reread is not None:
        values["reread"] = _reread(report.reread)
    return values


def row_to_json(row: Row) -> dict[str, object]:
    """One row; `drift`, `owner`, `lacking` and `since` are there where they say something."""
    value: dict[str, object] = {
        "mirror": row.mirror,
        "source": str(row.source),
        "target": str(row.target),
        "tag": row.tag,
        "state": row.state.value,
        "digest": str(row.digest) if row.digest is not None else None,
        "expected": str(row.expected) if row.expected is not None else None,
        "reason": row.why,
        "problem": problem_to_json(row.problem),
    }
    if row.drift is not None:
        value["drift"] = row.drift.value
    if row.owner is not None:
        value["owner"] = row.owner.value
    if row.lacking:
        value["lacking"] = row.lacking
    if row.since is not None:
        value["since"] = timestamp(row.since)
    return value


def _compared(one: Compared) -> dict[str, object]:
    place = {"mirror": one.mirror, "source": str(one.source), "target": str(one.target)}
    return {**place, "tags": one.tags, "equal": one.equal}


def _reread(one: Reread) -> dict[str, object]:
    return {"blobs": one.blobs, "bytes": one.bytes, "skipped": one.skipped, "unsampled": one.unsampled}
