"""What a tag rule's selector matches, less its `exclude`: the steps that need no facts.

Source: DESIGN.md, section 3, "Selection".
"""

import re
from collections.abc import Collection, Iterable, Iterator, MutableMapping
from dataclasses import dataclass

from regsync.oci.reference import Tag
from regsync.spec.globs import compile_glob
from regsync.spec.model import TagRule
from regsync.spec.regexes import compile_regex
from regsync.spec.versions import Version, parse_range, parse_version

Reasons = MutableMapping[Tag, str]  # why a tag was kept or dropped, for those who ask

_DIGEST_TAG = re.compile(r"sha(?:256-[a-f0-9]{64}|512-[a-f0-9]{64,128})(?:\.[a-zA-Z0-9._-]+)?")


def is_digest_tag(tag: str) -> bool:
    """Whether a tag stands for evidence of another image: cosign's, or the referrers fallback."""
    return tag.startswith("sha") and _DIGEST_TAG.fullmatch(tag) is not None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that a rule's selector matched, with what the match found in it."""

    tag: Tag
    version: Version | None
    groups: re.Match[str] | None


def candidates(rule: TagRule, tags: Collection[Tag], reasons: Reasons | None = None) -> list[Candidate]:
    """What the selector matches and `exclude` leaves, in the order of `tags`."""
    return _exclude(rule, _match(rule, tags, reasons), reasons)


def _match(rule: TagRule, tags: Collection[Tag], reasons: Reasons | None) -> Iterator[Candidate]:
    """Match the selector alone. Patterns never select digest tags; a name may."""
    if rule.names:
        names = set(rule.names)
        return (Candidate(tag, None, None) for tag in tags if tag in names)
    ordinary = (tag for tag in tags if not is_digest_tag(tag))
    if rule.glob is not None:
        whole = compile_glob(rule.glob).fullmatch
        return (Candidate(tag, None, None) for tag in ordinary if whole(tag))
    if rule.regex is not None:
        return _match_regex(rule, compile_regex(rule.regex), ordinary, reasons)
    return _match_semver(rule, ordinary)


def _match_regex(
    rule: TagRule, regex: re.Pattern[str], tags: Iterable[Tag], reasons: Reasons | None
) -> Iterator[Candidate]:
    wanted = parse_range(rule.semver.range) if rule.semver is not None else None
    of = rule.semver.of if rule.semver is not None else None
    for tag in tags:
        groups = regex.fullmatch(tag)
        if groups is None:
            continue
        version = None
        if wanted is not None:
            text = groups[of] if of is not None else tag
            version = parse_version(text) if text is not None else None
            if version is None or not wanted.contains(version):
                if reasons is not None:
                    reasons[tag] = f"dropped by semver: {text!r} is " + (
                        "no version" if version is None else "outside the range"
                    )
                continue
        yield Candidate(tag, version, groups)


def _match_semver(rule: TagRule, tags: Iterable[Tag]) -> Iterator[Candidate]:
    assert rule.semver is not None  # noqa: S101 - the only selector left
    wanted = parse_range(rule.semver.range)
    for tag in tags:
        version = parse_version(tag)
        if version is not None and wanted.contains(version):
            yield Candidate(tag, version, None)


def _exclude(rule: TagRule, found: Iterator[Candidate], reasons: Reasons | None) -> list[Candidate]:
    if not rule.exclude:
        return list(found)
    patterns = [(glob, compile_glob(glob).fullmatch) for glob in rule.exclude]
    kept = []
    for candidate in found:
        by = next((glob for glob, whole in patterns if whole(candidate.tag)), None)
        if by is None:
            kept.append(candidate)
        elif reasons is not None:
            reasons[candidate.tag] = f"dropped by exclude {by!r}"
    return kept
