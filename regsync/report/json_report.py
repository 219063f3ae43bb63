"""A report as JSON (DESIGN.md, section 4): all that differs between equal runs stands under `run`."""

from collections.abc import Iterator

from regsync.plan.codec import action_to_json, plan_document, problem_to_json, summary_to_json
from regsync.plan.document import API_VERSION, encode, timestamp
from regsync.plan.model import Plan, Report, Result


def render(document: Plan | Report) -> Iterator[str]:
    """The JSON text in pieces."""
    return encode(plan_document(document) if isinstance(document, Plan) else report_document(document))


def report_document(report: Report) -> dict[str, object]:
    """The report as JSON values, its actions lazy: for `encode`."""
    results = sorted(report.results, key=lambda result: result.action.order)
    run = report.run
    return {
        "apiVersion": API_VERSION,
        "kind": "Report",
        "specDigest": str(report.spec_digest),
        "summary": summary_to_json(report.summary)
        | {"bytes": {"copied": report.copied, "reused": report.reused}},
        "warnings": sorted(report.warnings),
        "actions": map(_result_to_json, results),
        "run": {
            "id": run.id,
            "started": timestamp(run.started),
            "seconds": round(run.seconds, 3),
            "requests": {name: dict(kinds) for name, kinds in run.requests.items()},
            "bytesRead": run.bytes_read,
            "interrupted": run.interrupted,
        },
    }


def _result_to_json(result: Result) -> dict[str, object]:
    # Bytes per action are left out: which of two tags brings a layer that both have is chance.
    return action_to_json(result.action) | {
        "outcome": result.outcome.value,
        "problem": problem_to_json(result.problem),
    }
