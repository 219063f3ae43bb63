"""Signing requirements and the roots they trust, as declared (SIGNING.md, section 6).

Files that policies name are read with the spec, so that a verdict never depends on a file that changed
meanwhile, and `specDigest` covers them. What is in them is understood in `trust/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from regsync.spec.model import Location, Position
from regsync.spec.regexes import is_identity

MAX_EVIDENCE = 1_000  # manifests beside one digest, unless a policy says otherwise
PUBLIC_GOOD = "public-good"  # the TrustRoot that needs no document


@dataclass(frozen=True, slots=True)
class Material:
    """The bytes of a file that the spec names, or of a value written in it."""

    name: str  # the path as the spec has it, or `data`
    data: bytes = field(repr=False)
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SigstoreRoot:
    """A Sigstore instance: its trusted root, and how much of it evidence has to show."""

    trusted_root: Material | None = None  # None: the public-good root that ships with sigstore
    tlog_threshold: int = 1
    timestamp_threshold: int = 0
    ctlog_threshold: int = 1


@dataclass(frozen=True, slots=True)
class NotationRoot:
    """Trust stores of the Notary Project, by `ca:NAME`, `signingAuthority:NAME` and `tsa:NAME`.

    With the keys `ca`, `tsa` and `signingAuthority` of the spec each is one store, named like the root.
    """

    stores: Mapping[str, tuple[Material, ...]]
    policy: Material | None = None  # a trustpolicy.oci.json, then the one whose scope has the image holds


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """Whom to believe."""

    name: str
    root: SigstoreRoot | NotationRoot
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A whole text: exactly this one, or a regular expression over all of it. Exactly one is set."""

    exact: str | None = None
    regex: str | None = None

    def matches(self, text: str) -> bool:
        """Whether a text is meant, from its first to its last character."""
        return text == self.exact if self.regex is None else is_identity(self.regex, text)


@dataclass(frozen=True, slots=True)
class KeylessAuthority:
    """Certificates of a Fulcio for one identity."""

    trust_root: str
    issuer: TextMatch
    subject: TextMatch | None = None  # None: `extensions` say who
    extensions: Mapping[str, str] = field(default_factory=dict)  # Fulcio's names, exact values


class LogUse(Enum):
    """What a signature by a key has to show of a transparency log."""

    REQUIRED = "required"
    OPTIONAL = "optional"  # what is shown has to be right
    IGNORE = "ignore"


class HashChoice(Enum):
    """The hash that a key signs with; AUTO is by its type (SIGNING.md, section 1.2)."""

    AUTO = "auto"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


@dataclass(frozen=True, slots=True)
class KeyAuthority:
    """One public key."""

    key: Material  # PEM
    hash_algorithm: HashChoice = HashChoice.AUTO
    tlog: LogUse = LogUse.REQUIRED
    trust_root: str = PUBLIC_GOOD  # has the keys of the log


class NotationLevel(Enum):
    """What a failed check of a notation signature means. Source: notaryproject, trust policy."""

    STRICT = "strict"
    PERMISSIVE = "permissive"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class NotationAuthority:
    """Certificates under the stores of a root; all but the root None where that has a trust policy."""

    trust_root: str
    level: NotationLevel | None = None  # strict, without a trust policy
    trusted_identities: tuple[str, ...] = ()  # `x509.subject: C=…, ST=…, O=…`, or `*`


Authority = KeylessAuthority | KeyAuthority | NotationAuthority


@dataclass(frozen=True, slots=True)
class SignatureRequirement:
    """A signature by an authority, with these annotations at least."""

    authority: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    position: Position | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """As a person would say it, and as verdicts name it."""
        return f"signature by {self.authority}"


class Select(Enum):
    """Which of several verified attestations of one type the conditions are asked of."""

    ANY = "any"  # one has to meet them all
    ALL = "all"  # each has to
    NEWEST = "newest"  # the one made last: by the earlier of a verified time and its own word


@dataclass(frozen=True, slots=True)
class Condition:
    """A CEL expression over one attestation."""

    expression: str
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SlsaCondition:
    """What provenance has to say; what is None is not asked."""

    builder: TextMatch | None = None
    source_repository: str | None = None
    source_ref: TextMatch | None = None
    build_type: str | None = None


class Severity(Enum):
    """How bad a vulnerability is."""

    UNKNOWN = "UNKNOWN"
    NEGLIGIBLE = "NEGLIGIBLE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class Allowed:
    """A vulnerability that is let pass, for a time, for a reason."""

    id: str
    reason: str
    until: datetime | None = None  # UTC; from then on it counts again


class ScanFormat(Enum):
    """Whose report a scan is."""

    AUTO = "auto"
    TRIVY = "trivy"
    GRYPE = "grype"
    IN_TOTO = "in-toto"


@dataclass(frozen=True, slots=True)
class VulnerabilityCondition:
    """What a scan may find: nothing above `max_severity`."""

    max_severity: Severity | None = None  # the worst that is let pass; None: no vulnerability at all
    fixable_only: bool = False  # those without a fix do not count
    allow: tuple[Allowed, ...] = ()
    format: ScanFormat = ScanFormat.AUTO


@dataclass(frozen=True, slots=True)
class AttestationRequirement:
    """An attestation of a type by an authority, that meets conditions."""

    predicate_type: str  # a URI; aliases of cosign are resolved when the spec is read
    authority: str
    name: str | None = None
    select: Select = Select.ANY
    max_age: timedelta | None = None  # since the earlier of a verified time and what the predicate says
    conditions: tuple[Condition, ...] = ()
    slsa: SlsaCondition | None = None
    vulnerabilities: VulnerabilityCondition | None = None
    position: Position | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """As a person would say it, and as verdicts name it."""
        return f"attestation {self.name or self.predicate_type} by {self.authority}"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of these."""

    of: tuple["Requirement", ...]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """`count` of these, by distinct signers; `any` is a count of one."""

    count: int
    of: tuple["Requirement", ...]


Requirement = SignatureRequirement | AttestationRequirement | AllOf | AtLeast


class Mode(Enum):
    """What a deny does."""

    ENFORCE = "enforce"
    WARN = "warn"  # it is reported, and the tag moves


class Scope(Enum):
    """Which digests of a multi-platform image must carry evidence."""

    INDEX = "index"
    PLATFORMS = "platforms"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Skip:
    """Images that a policy does not look at, for a reason, until a date."""

    images: tuple[str, ...]  # globs over REGISTRY/REPOSITORY of the source
    reason: str
    until: datetime  # UTC; from then on they are looked at


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """What an image has to show before a tag moves to it."""

    name: str
    authorities: Mapping[str, Authority]
    require: Requirement
    images: tuple[str, ...] = ()  # globs over REGISTRY/REPOSITORY of sources
    targets: tuple[str, ...] = ()  # globs over REGISTRY/REPOSITORY of targets
    mode: Mode = Mode.ENFORCE
    scope: Scope = Scope.INDEX
    evidence: tuple[Location, ...] = ()  # other repositories where evidence is kept
    min_age: timedelta | None = None  # since it was signed, by a verified time
    max_evidence: int = MAX_EVIDENCE  # manifests that are read beside one digest
    skip: tuple[Skip, ...] = ()
    position: Position | None = field(default=None, compare=False)
