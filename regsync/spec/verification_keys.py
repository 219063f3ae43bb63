"""`VerificationPolicy` documents and their keys."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from regsync.spec import fields, scalars
from regsync.spec.documents import Envelope, Labels
from regsync.spec.fields import schema
from regsync.spec.fulcio import EXTENSIONS, IDENTIFYING
from regsync.spec.keys import Keys
from regsync.spec.problems import nearest
from regsync.spec.requirement_keys import IdentityRegex, Moment, Period, RequirementKeys
from regsync.spec.verification import (
    MAX_EVIDENCE,
    PUBLIC_GOOD,
    HashChoice,
    LogUse,
    Mode,
    NotationLevel,
    Scope,
)

MAX_PEM = 16 * 1024  # characters
MAX_AUTHORITIES = 100
MOST_EVIDENCE = 100_000

_MODE = [one.value for one in Mode]
_SCOPE = [one.value for one in Scope]
_HASH = [one.value for one in HashChoice]
_TLOG = [one.value for one in LogUse]
_LEVEL = [one.value for one in NotationLevel]


def _pem(value: object) -> str:
    text = scalars.text(value)  # never shown: it may be a key that is no public one
    if len(text) > MAX_PEM or "-----BEGIN " not in text:
        raise ValueError(
            "expected a public key in PEM form, `-----BEGIN PUBLIC KEY-----`; a file stands under file"
        )
    return text


def _extension(value: object) -> str:
    text = scalars.text(value)
    if text not in EXTENSIONS:
        guess = nearest(text[:100], EXTENSIONS)
        hint = f"; did you mean {guess!r}?" if guess else ""
        known = ", ".join(sorted(EXTENSIONS))
        raise ValueError(f"{text[:80]!r} is no extension of a certificate; expected {known}{hint}")
    return text


def _identity(text: str) -> str:
    if text != "*" and not text.startswith("x509.subject:"):
        raise ValueError(f"expected `x509.subject: C=…, ST=…, O=…`, or `*` alone, found {text[:80]!r}")
    return text


Pem = Annotated[str, BeforeValidator(_pem), schema("string", examples=["-----BEGIN PUBLIC KEY-----…"])]
ExtensionName = Annotated[str, BeforeValidator(_extension), schema("string", enum=sorted(EXTENSIONS))]
Identity = Annotated[fields.Word, AfterValidator(_identity)]
ModeWord = Annotated[str, fields.choice(*_MODE), Field(json_schema_extra={"enum": _MODE})]
ScopeWord = Annotated[str, fields.choice(*_SCOPE), Field(json_schema_extra={"enum": _SCOPE})]
HashWord = Annotated[str, fields.choice(*_HASH), Field(json_schema_extra={"enum": _HASH})]
LogWord = Annotated[str, fields.choice(*_TLOG), Field(json_schema_extra={"enum": _TLOG})]
LevelWord = Annotated[str, fields.choice(*_LEVEL), Field(json_schema_extra={"enum": _LEVEL})]
PlaceGlob = Annotated[fields.Glob, schema("string", examples=["hub/acme/**"])]
PlaceGlobs = Annotated[list[PlaceGlob], Field(min_length=1)]


class KeylessKeys(Keys):
    """Certificates that Fulcio gave to one identity. All that is said has to be so."""

    trust_root: fields.MirrorName = Field(
        PUBLIC_GOOD, description="The name of a TrustRoot with `sigstore` (`public-good`)."
    )
    issuer: fields.Word | None = Field(
        None,
        description="Who vouched for the identity (OpenID Connect), exactly.",
        examples=["https://token.actions.githubusercontent.com"],
    )
    issuer_reg_exp: IdentityRegex | None = Field(
        None, description="The same as a regular expression over the whole issuer."
    )
    subject: fields.Word | None = Field(
        None,
        description="The identity, exactly: a mail address, or the URI of a workflow.",
        examples=["release@acme.example"],
    )
    subject_reg_exp: IdentityRegex | None = Field(
        None, description="The same as a regular expression over the whole identity."
    )
    extensions: dict[ExtensionName, fields.Word] | None = Field(
        None,
        description="What else the certificate has to say, exactly: " + ", ".join(sorted(EXTENSIONS)) + ".",
        examples=[{"sourceRepositoryURI": "https://github.com/acme/app"}],
    )

    @model_validator(mode="after")
    def _somebody(self) -> "KeylessKeys":
        self.exactly_one("issuer", "issuer_reg_exp")
        self.at_most_one("subject", "subject_reg_exp")
        if (
            self.subject is None
            and self.subject_reg_exp is None
            and not IDENTIFYING & {*(self.extensions or ())}
        ):
            raise ValueError(
                "an issuer alone is anybody whom it knows: expected subject, subjectRegExp, or extensions "
                "that say who, such as sourceRepositoryURI"
            )
        return self


class KeyKeys(Keys):
    """A public key: exactly one of `file` and `data`."""

    file: fields.Word | None = Field(None, description="A file with the key in PEM form.")
    data: Pem | None = Field(None, description="The key itself, in PEM form.")
    hash_algorithm: HashWord = Field(
        "auto", description="The hash that it signs with; `auto` goes by its type."
    )
    tlog: LogWord = Field(
        "required",
        description="What a signature has to show of a transparency log: `required` an entry, `optional` "
        "nothing, but what it shows has to be right, `ignore` nothing.",
    )
    trust_root: fields.MirrorName = Field(
        PUBLIC_GOOD,
        description="The name of a TrustRoot with `sigstore`, for the keys of logs (`public-good`).",
    )

    @model_validator(mode="after")
    def _one(self) -> "KeyKeys":
        return self.exactly_one("file", "data")


class NotationKeys(Keys):
    """Certificates of the Notary Project."""

    trust_root: fields.MirrorName = Field(description="The name of a TrustRoot with `notation`.")
    level: LevelWord | None = Field(
        None,
        description="`strict`, `permissive` or `audit`, as notation has them (strict). "
        "Not with a trust policy, which says it.",
    )
    trusted_identities: Annotated[list[Identity], Field(min_length=1)] | None = Field(
        None,
        description="Subjects of certificates, of which each part has to be there; `*` is any. "
        "Not with a trust policy, which says it.",
        examples=[["x509.subject: C=US, ST=WA, O=Acme"]],
    )

    @model_validator(mode="after")
    def _star_alone(self) -> "NotationKeys":
        if (
            self.trusted_identities is not None
            and "*" in self.trusted_identities[:-1] + self.trusted_identities[1:]
        ):
            raise ValueError("`*` is every identity: it stands alone in trustedIdentities")
        return self


class AuthorityKeys(Keys):
    """Who may vouch for an image: exactly one of these."""

    keyless: KeylessKeys | None = Field(None, description="An identity of Sigstore.")
    key: KeyKeys | None = Field(None, description="A public key.")
    notation: NotationKeys | None = Field(None, description="Certificates of the Notary Project.")

    @model_validator(mode="after")
    def _one(self) -> "AuthorityKeys":
        return self.exactly_one("keyless", "key", "notation")


class SkipKeys(Keys):
    """Images that the policy passes over for a time."""

    images: PlaceGlobs = Field(
        description="Globs over REGISTRY/REPOSITORY of sources; the registry is named, or `*`."
    )
    reason: fields.Word = Field(description="Why, for verdicts and for whoever comes later.")
    until: Moment = Field(description="When they are looked at again: a day (UTC), or a time.")


class PolicyKeys(Keys):
    """What an image has to show before a tag moves to it."""

    images: PlaceGlobs | None = Field(
        None,
        description="Globs over REGISTRY/REPOSITORY: applies to these sources without being named in a "
        "mirror. All policies that apply have to be met.",
    )
    targets: PlaceGlobs | None = Field(
        None,
        description="Globs over REGISTRY/REPOSITORY: applies to whatever is copied there, from wherever.",
    )
    mode: ModeWord = Field(
        "enforce", description="`warn`: an image that does not meet it is copied, and reported (`enforce`)."
    )
    scope: ScopeWord = Field(
        "index", description="Which digests of a multi-platform image need evidence of their own (`index`)."
    )
    evidence: Annotated[list[fields.Word], Field(min_length=1)] | None = Field(
        None,
        description="Other repositories, REGISTRY/REPOSITORY, where evidence is kept; looked at besides the "
        "image's own, and copied beside the image.",
        examples=[["hub/acme/signatures"]],
    )
    max_evidence: Annotated[fields.Integer, *fields.between("integer", 1, MOST_EVIDENCE)] = Field(
        MAX_EVIDENCE,
        description=f"How many manifests of evidence are read beside one digest ({MAX_EVIDENCE}). With more "
        "there, what the read ones do not meet is an error, not a refusal.",
    )
    min_age: Period | None = Field(
        None, description="For how long, by a time that somebody vouches for, it has been signed at least."
    )
    skip: Annotated[list[SkipKeys], Field(min_length=1)] | None = Field(
        None, description="Images that it passes over for a time."
    )
    authorities: Annotated[
        dict[fields.MirrorName, AuthorityKeys], Field(min_length=1, max_length=MAX_AUTHORITIES)
    ] = Field(description="Who may vouch for images, by the names that `require` uses.")
    require: RequirementKeys = Field(description="What has to be there.")


class PolicyMetadata(Keys):
    """The name under which mirrors speak of a policy."""

    name: fields.MirrorName = Field(description="Unique among policies.")
    labels: Labels | None = Field(None, description="Labels, for people.")


class PolicyDocument(Envelope):
    """What an image has to show before a tag moves to it.

    It applies to mirrors and upstreams that name it under `verify`, and to what its globs match.
    """

    kind: Literal["VerificationPolicy"]
    metadata: PolicyMetadata = Field(description="Name and labels.")
    spec: PolicyKeys = Field(description="Who may vouch for what.")
