"""What policies said of images, as text and as JSON: each requirement, all evidence, every check."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from regsync.oci.digest import Digest
from regsync.plan.document import API_VERSION, encode, timestamp
from regsync.report.escape import message, visible
from regsync.report.style import BOLD, DIM, GREEN, PLAIN, RED, YELLOW, Style
from regsync.report.units import counted
from regsync.spec.verification import Mode
from regsync.trust.verdict import EvidenceSeen, RequirementVerdict, Result, Searched, Verdict

_COLOURS = {Result.PASS: GREEN, Result.FAIL: RED, Result.ERROR: RED, Result.SKIPPED: YELLOW}
_OPENINGS = (
    "no ",
    "cannot tell whether there is a ",
    "cannot tell whether there is an ",
)  # of a reason, before the name of what is required
_STEP = "  "


@dataclass(frozen=True, slots=True)
class Verified:
    """One reference and what every policy that applies said of it."""

    reference: str  # as it was asked for
    digest: Digest
    verdicts: tuple[Verdict, ...]


def as_text(found: Sequence[Verified], style: Style = PLAIN) -> Iterator[str]:
    """Lines for people: the verdict first, then why."""
    for one in found:
        yield f"{style.paint(visible(one.reference), BOLD)}  {one.digest}\n"
        for verdict in one.verdicts:
            yield from _verdict(verdict, style)


def as_json(found: Sequence[Verified]) -> Iterator[str]:
    """The document."""
    verdicts = [
        {"reference": one.reference, **_verdict_document(verdict)}
        for one in found
        for verdict in one.verdicts
    ]
    return encode({"apiVersion": API_VERSION, "kind": "Verdicts", "verdicts": verdicts})


def _verdict(verdict: Verdict, style: Style) -> Iterator[str]:
    warns = " (mode: warn, it would pass)" if verdict.mode is Mode.WARN and _is_bad(verdict.result) else ""
    told_below = bool(verdict.requirements)  # requirement by requirement
    why = f": {message(verdict.reason)}" if verdict.reason and not told_below else ""
    yield f"{_STEP}policy {visible(verdict.policy)}: {_word(verdict.result, style)}{warns}{why}\n"
    for requirement in verdict.requirements:
        yield from _requirement(requirement, style, 2, verdict.digest)
    if verdict.searched:
        yield f"{_STEP * 2}{style.paint('looked at', DIM)}\n"
        for (repository, subject), places in groupby(verdict.searched, key=_place):
            yield f"{_STEP * 3}{visible(repository)} for {subject.short()}\n"
            for line in _searched(list(places)):
                yield f"{_STEP * 4}{line}\n"
    if verdict.expires is not None and verdict.result is not Result.ERROR:
        yield f"{_STEP * 2}{style.paint('holds until', DIM)} {timestamp(verdict.expires)}\n"


def _requirement(verdict: RequirementVerdict, style: Style, depth: int, digest: Digest) -> Iterator[str]:
    """Each thing said once: what is below a requirement says its own reason, and its name stands before."""
    reason = verdict.opening if verdict.of else verdict.reason
    for opening in _OPENINGS:
        reason = reason.removeprefix(f"{opening}{verdict.requirement}: ") if reason else None
    why = f": {message(reason)}" if reason else ""
    yield f"{_STEP * depth}{_word(verdict.result, style)}  {message(verdict.requirement)}{why}\n"
    for seen in verdict.evidence:
        yield from _evidence(seen, style, depth + 1, digest)
    for below in verdict.of:
        yield from _requirement(below, style, depth + 1, digest)


def _evidence(seen: EvidenceSeen, style: Style, depth: int, digest: Digest) -> Iterator[str]:
    mark = style.paint("counts", GREEN) if seen.reason is None else style.paint("does not count", RED)
    kind = f" {message(seen.predicate_type)}" if seen.predicate_type else ""
    yield f"{_STEP * depth}{mark}  {visible(seen.format)}{kind}  {seen.digest}\n"
    lines = [
        ("of", "" if seen.subject == digest else str(seen.subject)),
        ("found in", f"{visible(seen.repository)} {visible(seen.location)}"),
        ("signed by", message(seen.signer or "")),
        ("signed at", timestamp(seen.signed_at) if seen.signed_at is not None else ""),
        ("checked", message("; ".join(seen.checks))),
        ("relaxed", message("; ".join(seen.relaxed))),
        ("because", message(seen.reason or "")),
    ]
    for name, value in lines:
        if value:
            yield f"{_STEP * (depth + 1)}{style.paint(name, DIM)} {value}\n"


def _place(searched: Searched) -> tuple[str, Digest]:
    return searched.repository, searched.subject


def _searched(places: Sequence[Searched]) -> Iterator[str]:
    """What was found, what could not be asked, and where there is nothing."""
    for one in places:
        if one.problem is not None:
            yield f"{visible(one.location)}: {message(one.problem)}"
        elif one.found:
            yield f"{visible(one.location)}: {counted(one.found, 'manifest')}"
    empty = [visible(one.location) for one in places if one.problem is None and not one.found]
    if empty:
        yield f"{', '.join(empty)}: nothing there"


def _word(result: Result, style: Style) -> str:
    return style.paint(result.value.upper(), _COLOURS[result])


def _is_bad(result: Result) -> bool:
    return result in (Result.FAIL, Result.ERROR)


def _verdict_document(verdict: Verdict) -> dict[str, object]:
    return {
        "digest": str(verdict.digest),
        "policy": verdict.policy,
        "mode": verdict.mode.value,
        "result": verdict.result.value,
        "reason": verdict.reason,
        "signers": list(verdict.signers),
        "expires": timestamp(verdict.expires) if verdict.expires is not None else None,
        "requirements": [_requirement_document(one) for one in verdict.requirements],
        "searched": [
            {
                "subject": str(one.subject),
                "repository": one.repository,
                "location": one.location,
                "found": one.found,
                "problem": one.problem,
            }
            for one in verdict.searched
        ],
    }


def _requirement_document(verdict: RequirementVerdict) -> dict[str, object]:
    return {
        "requirement": verdict.requirement,
        "result": verdict.result.value,
        "reason": verdict.reason,
        "authority": verdict.authority,
        "evidence": [_evidence_document(one) for one in verdict.evidence],
        "of": [_requirement_document(one) for one in verdict.of],
    }


def _evidence_document(seen: EvidenceSeen) -> dict[str, object]:
    return {
        "digest": str(seen.digest),
        "repository": seen.repository,
        "location": seen.location,
        "format": seen.format,
        "subject": str(seen.subject),
        "predicateType": seen.predicate_type,
        "checks": list(seen.checks),
        "relaxed": list(seen.relaxed),
        "signer": seen.signer,
        "signedAt": timestamp(seen.signed_at) if seen.signed_at is not None else None,
        "reason": seen.reason,
    }
