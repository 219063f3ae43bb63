"""Keys of `VerificationPolicy.spec.require`: signatures, attestations, and how many of them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from regsync.spec import fields, scalars
from regsync.spec.fields import schema
from regsync.spec.keys import Keys
from regsync.spec.nodes import describe
from regsync.spec.predicates import NO_SCANS, PREDICATE_ALIASES, SLSA_PROVENANCE
from regsync.spec.problems import nearest
from regsync.spec.regexes import compile_identity_regex
from regsync.spec.verification import ScanFormat, Select, Severity

MAX_EXPRESSION = 4096  # characters
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:[!-~]+")


def _regex(value: object) -> str:
    text = scalars.text(value)
    compile_identity_regex(text)
    return text


def _predicate_type(value: object) -> str:
    text = scalars.text(value)
    if text in PREDICATE_ALIASES:
        return PREDICATE_ALIASES[text]
    if len(text) > 512 or _URI.fullmatch(text) is None:
        guess = nearest(text[:100], PREDICATE_ALIASES)
        hint = f"; did you mean {guess!r}?" if guess else ""
        known = ", ".join(PREDICATE_ALIASES)
        raise ValueError(f"expected a URI or one of {known}, found {describe(value)}{hint}")
    return text


def _expression(value: object) -> str:
    text = scalars.text(value).strip()
    if not text or len(text) > MAX_EXPRESSION:
        raise ValueError(f"expected a CEL expression of at most {MAX_EXPRESSION} characters")
    return text


def _evidence_name(value: object) -> str:
    text = scalars.text(value)
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"expected a name of letters, digits and _, found {describe(value)}")
    return text


def _moment(value: object) -> datetime:
    """A day, which begins at midnight UTC, or a time with its zone."""
    text = scalars.text(value)
    try:
        found = datetime.fromisoformat(text)
        if _DATE.fullmatch(text) is not None:
            return found.replace(tzinfo=UTC)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"expected a date such as 2027-01-31, or 2027-01-31T12:00:00Z, found {describe(value)}")


def _positive(value: object) -> timedelta:
    found = scalars.duration(value)
    if not found:
        raise ValueError("expected a duration above 0")
    return found


IdentityRegex = Annotated[str, BeforeValidator(_regex), schema("string")]
PredicateType = Annotated[
    str,
    BeforeValidator(_predicate_type),
    schema("string", examples=["slsaprovenance1", "vuln", "https://spdx.dev/Document"]),
]
Expression = Annotated[str, BeforeValidator(_expression), schema("string", maxLength=MAX_EXPRESSION)]
EvidenceName = Annotated[str, BeforeValidator(_evidence_name), schema("string", pattern=f"^{_NAME.pattern}$")]
Moment = Annotated[datetime, BeforeValidator(_moment), schema("string", examples=["2027-01-31"])]
Period = Annotated[
    timedelta,
    BeforeValidator(_positive),
    schema("string", pattern="^[0-9]{1,9}[smhdwy]$", examples=["12h", "7d"]),
]
_SELECT = [one.value for one in Select]
_SEVERITY = [one.value for one in Severity]
_FORMAT = [one.value for one in ScanFormat]
SelectWord = Annotated[str, fields.choice(*_SELECT), Field(json_schema_extra={"enum": _SELECT})]
SeverityWord = Annotated[str, fields.choice(*_SEVERITY), Field(json_schema_extra={"enum": _SEVERITY})]
FormatWord = Annotated[str, fields.choice(*_FORMAT), Field(json_schema_extra={"enum": _FORMAT})]


class SignatureKeys(Keys):
    """A signature by an authority. An attestation never counts as one."""

    authority: fields.MirrorName = Field(description="The name of one of the policy's authorities.")
    annotations: dict[fields.Word, fields.Word] | None = Field(
        None, description="What it has to say, as `cosign sign -a KEY=VALUE` and notation's metadata do."
    )


class SlsaKeys(Keys):
    """What SLSA provenance has to say, in version 0.2 or 1; at least one of these.

    The predicate says it, the authority vouches for it; who built is best asked of its certificate.
    """

    builder: fields.Word | None = Field(None, description="The builder's id, exactly.")
    builder_reg_exp: IdentityRegex | None = Field(
        None, description="The same as a regular expression over the whole id."
    )
    source_repository: fields.Word | None = Field(
        None, description="The repository that it was built from.", examples=["https://github.com/acme/app"]
    )
    source_ref: fields.Word | None = Field(
        None, description="The branch or tag that it was built from.", examples=["refs/heads/main"]
    )
    source_ref_reg_exp: IdentityRegex | None = Field(
        None, description="The same as a regular expression over the whole ref."
    )
    build_type: fields.Word | None = Field(None, description="The type of build, a URI, exactly.")

    @model_validator(mode="after")
    def _some(self) -> "SlsaKeys":
        self.at_most_one("builder", "builder_reg_exp")
        self.at_most_one("source_ref", "source_ref_reg_exp")
        if not self.model_fields_set:
            raise ValueError("expected at least one of builder, sourceRepository, sourceRef, buildType")
        return self


class AllowedKeys(Keys):
    """A vulnerability that does not count, for a time or for good."""

    id: fields.Word = Field(description="Its id, as the scan has it.", examples=["CVE-2026-12345"])
    reason: fields.Word = Field(description="Why, for verdicts and for whoever comes later.")
    until: Moment | None = Field(
        None, description="When it counts again: a day (UTC), or a time. Without it never."
    )


class VulnerabilityKeys(Keys):
    """What a scan may have found. Without any key: nothing at all."""

    not_yet: ClassVar[Mapping[str, str]] = {
        "vex": "VEX documents are not read; list what does not affect you under allow"
    }

    max_severity: SeverityWord | None = Field(
        None, description="The worst that is let pass. Without it no vulnerability is."
    )
    max_age: Period | None = Field(None, description="How old the scan may be.")
    fixable_only: fields.Boolean = Field(
        default=False, description="Those that there is no fix for do not count."
    )
    allow: Annotated[list[AllowedKeys], Field(min_length=1)] | None = Field(
        None, description="Vulnerabilities that do not count."
    )
    format: FormatWord = Field("auto", description="Whose report the scan is; `auto` tells by its content.")


class AttestationKeys(Keys):
    """An attestation of a type by an authority, and what it has to say: without conditions, anything."""

    authority: fields.MirrorName = Field(description="The name of one of the policy's authorities.")
    predicate_type: PredicateType | None = Field(
        None,
        description="Its type: cosign's short name or the URI, with which newer versions of it match too "
        "(with `slsa` slsaprovenance1, with `vulnerabilities` vuln).",
    )
    name: EvidenceName | None = Field(None, description="For verdicts; unique in the policy.")
    select: SelectWord | None = Field(
        None,
        description="Of several verified ones: `any` of them has to meet the conditions, `all` have to, or "
        "the `newest` has to (`any`; with `vulnerabilities` `newest`: an old scan outvotes no new one).",
    )
    max_age: Period | None = Field(None, description="How old it may be.")
    conditions: Annotated[list[Expression], Field(min_length=1, max_length=50)] | None = Field(
        None,
        description="CEL expressions that have to be true, over `predicate`, `statement`, `signer`, "
        "`signedAt`, `image` and `now`.",
        examples=[["predicate.buildDefinition.buildType.startsWith('https://')"]],
    )
    slsa: SlsaKeys | None = Field(None, description="What SLSA provenance has to say.")
    vulnerabilities: VulnerabilityKeys | None = Field(None, description="What a scan may have found.")

    @model_validator(mode="after")
    def _consistent(self) -> "AttestationKeys":
        self.at_most_one("slsa", "vulnerabilities")
        if self.predicate_type is None and self.slsa is None and self.vulnerabilities is None:
            raise ValueError("expected predicateType, or slsa or vulnerabilities, which have one")
        scan = self.vulnerabilities
        if self.max_age is not None and scan is not None and scan.max_age is not None:
            raise ValueError("maxAge stands twice, here and under vulnerabilities")
        self._fits()
        return self

    def _fits(self) -> None:
        """Raise ValueError where a shorthand is for other predicates than the type's."""
        wanted = self.predicate_type
        if wanted is None:
            return
        if self.slsa is not None and not wanted.startswith(SLSA_PROVENANCE):
            raise ValueError(f"slsa is about provenance, and predicateType is {wanted[:80]}")
        no_scan = wanted in NO_SCANS or wanted.startswith(SLSA_PROVENANCE)
        if self.vulnerabilities is not None and no_scan:
            raise ValueError(f"vulnerabilities is about scans, and predicateType is {wanted[:80]}")


class AtLeastKeys(Keys):
    """So many of several, by signers that differ."""

    count: fields.Integer = Field(description="How many have to be met.")
    of: Annotated[list["RequirementKeys"], Field(min_length=1)] = Field(description="The requirements.")

    @model_validator(mode="after")
    def _possible(self) -> "AtLeastKeys":
        if not 1 <= self.count <= len(self.of):
            raise ValueError(f"expected a count of 1 to {len(self.of)}, for so many are listed under of")
        return self


class RequirementKeys(Keys):
    """Exactly one of these."""

    not_yet: ClassVar[Mapping[str, str]] = {
        "conditions": "expressions cannot speak of several attestations; "
        "write conditions into the attestation that they are about"
    }

    all_: Annotated[list["RequirementKeys"], Field(min_length=1)] | None = Field(
        None, alias="all", description="Every one of these has to be met."
    )
    any_: Annotated[list["RequirementKeys"], Field(min_length=1)] | None = Field(
        None, alias="any", description="One of these has to be met."
    )
    at_least: AtLeastKeys | None = Field(None, description="So many of these have to be met.")
    signature: SignatureKeys | None = Field(None, description="A signature.")
    attestation: AttestationKeys | None = Field(None, description="An attestation.")

    @model_validator(mode="after")
    def _one(self) -> "RequirementKeys":
        return self.exactly_one("all_", "any_", "at_least", "signature", "attestation")
