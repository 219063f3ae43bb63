"""Plans as JSON, written for review and read back for `apply` (DESIGN.md, section 4).

What is read comes from a file that anyone may have edited: it is bounded, every key is known, every
value is parsed into the type that the engine takes, and an error names the place in the document.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime

from regsync.errors import RegsyncError
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.plan.base_codec import base_from, base_to_json
from regsync.plan.document import API_VERSION, timestamp
from regsync.plan.fields import Fields, InvalidFieldError
from regsync.plan.judgement import Judgement
from regsync.plan.model import Action, Cause, Explanation, Outcome, Plan, Problem, Summary, Verb
from regsync.spec.verification import Mode
from regsync.trust.verdict import Result as Verdict

KIND = "Plan"
MAX_PLAN_SIZE = 256 * 1024 * 1024  # bytes; 100,000 actions take about 80 MB
MAX_ACTIONS = 1_000_000
MAX_VERDICTS = 100  # of one action


class InvalidPlanError(RegsyncError):
    """The file is no plan that this version of regsync can read."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"not a plan: {cause}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "make a new one with `regsync plan --out FILE`"


def plan_document(plan: Plan) -> dict[str, object]:
    """The plan as JSON values, its lists lazy: for `encode`."""
    document: dict[str, object] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "specDigest": str(plan.spec_digest),
        "summary": summary_to_json(plan.summary) | {"bytes": plan.bytes},
        "warnings": sorted(plan.warnings),
        "actions": map(action_to_json, sorted(plan.actions, key=lambda action: action.order)),
        "run": {"created": timestamp(plan.created)},
    }
    if plan.explanations:
        document["explanations"] = _explanations(plan)
    if plan.base is not None:
        document["base"] = base_to_json(plan.base)
    return document


def summary_to_json(summary: Summary) -> dict[str, object]:
    """The counts under their published names."""
    return asdict(summary)


def action_to_json(action: Action) -> dict[str, object]:
    """One action; `sourceTag` and `sourceDigest` are there where they differ from the target's."""
    value: dict[str, object] = {
        "action": action.verb.value,
        "mirror": action.mirror,
        "source": str(action.source),
        "target": str(action.target),
        "tag": action.tag,
        "digest": _text(action.digest),
        "replaces": _text(action.replaces),
        "size": action.size,
        "reason": action.reason,
        "problem": problem_to_json(action.problem),
    }
    if action.source_tag is not None and action.source_tag != action.tag:
        value["sourceTag"] = action.source_tag
    if action.source_digest is not None and action.source_digest != action.digest:
        value["sourceDigest"] = str(action.source_digest)
    if action.verdicts:
        value["verdicts"] = [_verdict_to_json(one) for one in action.verdicts]
    return value


def _verdict_to_json(verdict: Judgement) -> dict[str, object]:
    value: dict[str, object] = {
        "policy": verdict.policy,
        "mode": verdict.mode.value,
        "result": verdict.result.value,
        "reason": verdict.reason,
        "signers": list(verdict.signers),
    }
    if verdict.unmet:
        value["unmet"] = list(verdict.unmet)
    return value


def problem_to_json(problem: Problem | None) -> dict[str, object] | None:
    """Why something was not done, with the exit code that it leads to."""
    if problem is None:
        return None
    return {
        "outcome": problem.outcome.value,
        "exitCode": int(problem.cause) if problem.cause is not None else None,
        "message": problem.message,
        "hint": problem.hint,
    }


def plan_from_json(raw: bytes) -> Plan:
    """Read what `encode(plan_document(plan))` wrote; raises InvalidPlanError."""
    if len(raw) > MAX_PLAN_SIZE:
        raise InvalidPlanError(f"{len(raw)} bytes, at most {MAX_PLAN_SIZE} are read")
    try:
        return _plan(Fields.of(loads(raw), ""))
    except (InvalidJSONError, InvalidFieldError) as cause:
        raise InvalidPlanError(str(cause)) from cause


def _plan(fields: Fields) -> Plan:
    fields.literal("apiVersion", API_VERSION)
    fields.literal("kind", KIND)
    summary = fields.child("summary")
    deletions, base = summary.optional_count("delete"), fields.optional_child("base")
    actions = tuple(action_from(child) for child in fields.children("actions", MAX_ACTIONS))
    plan = Plan(
        spec_digest=fields.digest("specDigest"),
        created=_created(fields.child("run")),
        actions=tuple(sorted(actions, key=lambda action: action.order)),
        unchanged=summary.count("unchanged"),
        warnings=fields.texts("warnings"),
        explanations=tuple(_explanation(child) for child in fields.children("explanations", MAX_ACTIONS)),
        knows_deletions=deletions is not None,
        base=base_from(base) if base is not None else None,
    )
    _check_summary(summary, plan, deletions)
    fields.done()
    return plan


def _check_summary(fields: Fields, plan: Plan, deletions: int | None) -> None:
    # The counts are what a reviewer looked at: a document whose list says otherwise was edited.
    expected = summary_to_json(plan.summary) | {"bytes": plan.bytes}
    del expected["unchanged"]  # taken as it is: no action stands for it
    for key, value in expected.items():
        if (deletions if key == "delete" else fields.take(key)) != value:
            raise InvalidFieldError(f"summary.{key}", f"it is not {value}, which its actions add up to")
    fields.done()


def _created(fields: Fields) -> datetime:
    created = fields.moment("created")
    fields.done()
    return created


def action_from(fields: Fields) -> Action:
    """What `action_to_json` wrote; raises InvalidFieldError."""
    tag, digest = fields.optional_tag("tag"), fields.optional_digest("digest")
    problem = fields.optional_child("problem")
    source_tag, source_digest = fields.optional_tag("sourceTag"), fields.optional_digest("sourceDigest")
    verdicts = tuple(_verdict(child) for child in fields.children("verdicts", MAX_VERDICTS))
    action = Action(
        verb=fields.choice("action", Verb),
        mirror=fields.text("mirror"),
        source=fields.location("source"),
        target=fields.location("target"),
        tag=tag,
        digest=digest,
        replaces=fields.optional_digest("replaces"),
        size=fields.optional_count("size"),
        reason=fields.text("reason"),
        source_tag=source_tag if source_tag is not None else tag,
        source_digest=source_digest if source_digest is not None else digest,
        problem=problem_from(problem) if problem is not None else None,
        verdicts=verdicts,
    )
    fields.done()
    if action.problem is None and action.digest is None:
        raise InvalidFieldError(f"{fields.path}.digest", "missing, and there is no problem that says why")
    return action


def _verdict(fields: Fields) -> Judgement:
    verdict = Judgement(
        policy=fields.text("policy"),
        mode=fields.choice("mode", Mode),
        result=fields.choice("result", Verdict),
        reason=fields.optional_text("reason"),
        signers=fields.texts("signers"),
        unmet=fields.texts("unmet"),
    )
    fields.done()
    return verdict


def problem_from(fields: Fields) -> Problem:
    """What `problem_to_json` wrote; raises InvalidFieldError."""
    code = fields.optional_count("exitCode")
    if code is not None and code not in {int(cause) for cause in Cause}:
        raise InvalidFieldError(f"{fields.path}.exitCode", "expected 1, 3, 75 or null")
    problem = Problem(
        outcome=fields.choice("outcome", Outcome),
        cause=Cause(code) if code is not None else None,
        message=fields.text("message"),
        hint=fields.optional_text("hint"),
    )
    fields.done()
    return problem


def _explanations(plan: Plan) -> Iterator[Mapping[str, object]]:
    for entry in plan.explanations:
        value = {
            "mirror": entry.mirror,
            "source": str(entry.source),
            "tag": entry.tag,
            "kept": entry.kept,
            "why": entry.why,
        }
        yield value if entry.target is None else value | {"target": str(entry.target)}


def _explanation(fields: Fields) -> Explanation:
    entry = Explanation(
        mirror=fields.text("mirror"),
        source=fields.location("source"),
        tag=fields.tag("tag"),
        kept=fields.flag("kept"),
        why=fields.text("why"),
        target=fields.optional_location("target"),
    )
    fields.done()
    return entry


def _text(value: object) -> str | None:
    return None if value is None else str(value)
