"""What both envelope formats of the Notary Project give, and the rules on what they sign beside the payload.

Source: notaryproject specifications, signature-specification.md, "Signed Attributes".
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.algorithms import Algorithm

ENVELOPE = "envelope"  # the check that a malformed envelope fails
PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
MAX_ENVELOPE_SIZE = 1024 * 1024  # bytes; a chain, a timestamp and a page of metadata take some ten thousand
MAX_CHAIN = 10  # certificates

TIMESTAMP = "io.cncf.notary.timestampSignature"  # unprotected

_PREFIX = "io.cncf.notary."
_SCHEME = _PREFIX + "signingScheme"
_SIGNING_TIME = _PREFIX + "signingTime"
_AUTHENTIC_SIGNING_TIME = _PREFIX + "authenticSigningTime"
_EXPIRY = _PREFIX + "expiry"
_PLUGIN = _PREFIX + "verificationPlugin"


class Scheme(Enum):
    """Who vouches for the time of signing. Source: signing-scheme.md."""

    X509 = "notary.x509"
    SIGNING_AUTHORITY = "notary.x509.signingAuthority"


@dataclass(frozen=True, slots=True)
class Attributes:
    """The signed attributes. Under `notary.x509` anybody can claim any `signing_time`."""

    scheme: Scheme
    signing_time: datetime
    expiry: datetime | None


@dataclass(frozen=True, slots=True)
class SignedEnvelope:
    """An envelope as read, before anything in it is believed."""

    algorithm: Algorithm
    signed: bytes  # what the signature is over, with the protected bytes exactly as they came
    signature: bytes
    payload: bytes
    attributes: Attributes
    chain: tuple[bytes, ...]  # DER, the leaf first, the root last
    timestamp: bytes | None  # RFC 3161 TimeStampToken, DER, over the signature's bytes


def check_size(raw: bytes) -> None:
    """Raises EvidenceRejectedError above MAX_ENVELOPE_SIZE."""
    if len(raw) > MAX_ENVELOPE_SIZE:
        raise malformed(f"{len(raw)} bytes; at most {MAX_ENVELOPE_SIZE} are read")


def read_attributes(
    protected: Mapping[str, object],
    *,
    critical: object,
    content_type: object,
    read_time: Callable[[str, object], datetime],
) -> Attributes:
    """Take the protected attributes apart; what is marked critical and not understood is refused.

    `protected` has the attributes by name, `critical` what the envelope says must be understood, and
    `read_time` reads a time as the format writes it. Raises EvidenceRejectedError.
    """
    if content_type != PAYLOAD_TYPE:
        raise malformed(f"the payload's type is {content_type!r:.120}, not {PAYLOAD_TYPE}")
    _refuse_plugin(protected)
    scheme = _scheme(protected.get(_SCHEME))
    wanted, excluded = _SIGNING_TIME, _AUTHENTIC_SIGNING_TIME
    must_be_critical = {_SCHEME}
    if scheme is Scheme.SIGNING_AUTHORITY:
        wanted, excluded = excluded, wanted
        must_be_critical.add(wanted)
    if wanted not in protected or excluded in protected:
        raise malformed(f"scheme {scheme.value} takes {wanted} and not {excluded}")
    if _EXPIRY in protected:
        must_be_critical.add(_EXPIRY)
    _check_critical(critical, must_be_critical)
    signing_time = read_time(wanted, protected[wanted])
    expiry = read_time(_EXPIRY, protected[_EXPIRY]) if _EXPIRY in protected else None
    if expiry is not None and expiry <= signing_time:
        raise malformed(f"it expires at {expiry.isoformat()}, not after it was signed")
    return Attributes(scheme, signing_time, expiry)


def malformed(reason: str) -> EvidenceRejectedError:
    """The envelope breaks the rules of its format."""
    return EvidenceRejectedError(ENVELOPE, reason)


def _refuse_plugin(protected: Mapping[str, object]) -> None:
    if _PLUGIN in protected:
        name = protected[_PLUGIN]
        raise malformed(f"it asks for the verification plugin {name!r:.120}; regsync runs no plugins")


def _scheme(value: object) -> Scheme:
    for scheme in Scheme:
        if value == scheme.value:
            return scheme
    raise malformed(f"signing scheme {value!r:.120} is not supported")


def _check_critical(critical: object, expected: Collection[str]) -> None:
    if not isinstance(critical, list | tuple) or not all(isinstance(name, str | int) for name in critical):
        raise malformed("`crit` is missing or no list of names")
    marked = set(critical)
    if unknown := marked.difference(expected):
        named = ", ".join(sorted(f"{name!r:.120}" for name in unknown))
        raise malformed(f"it marks as critical what is not there or not understood: {named}")
    if missing := set(expected) - marked:
        raise malformed(f"not marked as critical: {', '.join(sorted(missing))}")
