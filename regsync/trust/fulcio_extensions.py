"""What a Fulcio writes into its certificates of who asked for them, by name.

Source: sigstore/fulcio, `docs/oid-info.md`; the names are those of sigstore-go and cosign.
"""

from collections.abc import Mapping

from cryptography import x509

from regsync.spec.fulcio import EXTENSIONS
from regsync.trust.errors import EvidenceRejectedError

MAX_VALUE = 4096  # bytes of one extension or name

_CHECK = "certificate extensions"
_FULCIO = "1.3.6.1.4.1.57264.1."
_USER_NAME = x509.ObjectIdentifier(f"{_FULCIO}7")  # a kind of otherName in the subjectAltName
_ISSUER, _ISSUER_V2 = 1, 8

# Those below 8 are raw text, those from 8 on DER.
NAMES: Mapping[int, str] = {number: name for name, number in EXTENSIONS.items()}


def read_extensions(certificate: x509.Certificate) -> Mapping[str, str]:
    """The extensions of `NAMES` that the certificate has. Raises EvidenceRejectedError."""
    found = {
        NAMES[number]: _text(value, number)
        for number, value in _values(certificate).items()
        if number in NAMES
    }
    return dict(sorted(found.items()))


def read_issuer(certificate: x509.Certificate) -> str:
    """Who vouched for the subject: the OpenID Connect issuer. Raises EvidenceRejectedError."""
    values = _values(certificate)
    found = {_text(values[number], number) for number in (_ISSUER, _ISSUER_V2) if number in values}
    if len(found) != 1:
        what = "no issuer" if not found else "two issuers: " + " and ".join(sorted(found))
        raise EvidenceRejectedError("certificate issuer", f"the certificate names {what}")
    return _named(found.pop(), "certificate issuer")


def read_subject(certificate: x509.Certificate) -> str:
    """The one subject: a URI, an email address, or Fulcio's user name. Raises EvidenceRejectedError."""
    check = "certificate subject"
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound as cause:
        raise EvidenceRejectedError(check, "the certificate names no subject") from cause
    names = list(extension.value)
    if len(names) != 1:
        reason = f"the certificate names {len(names)} subjects, Fulcio's name one"
        raise EvidenceRejectedError(check, reason)
    match names[0]:
        case x509.UniformResourceIdentifier(value=text) | x509.RFC822Name(value=text):
            return _named(text, check)
        case x509.OtherName(type_id=kind, value=der) if kind == _USER_NAME:
            return _named(_utf8_string(der, 7), check)
        case other:
            raise EvidenceRejectedError(
                check, f"the subject is a {type(other).__name__}, not one of Fulcio's"
            )


def _values(certificate: x509.Certificate) -> Mapping[int, bytes]:
    """Fulcio's extensions by their last number."""
    found = {}
    for extension in certificate.extensions:
        prefix, _, last = extension.oid.dotted_string.rpartition(".")
        if f"{prefix}." == _FULCIO and isinstance(extension.value, x509.UnrecognizedExtension):
            found[int(last)] = extension.value.value
    return found


def _text(value: bytes, number: int) -> str:
    if len(value) > MAX_VALUE:
        raise EvidenceRejectedError(_CHECK, f"{_FULCIO}{number} has more than {MAX_VALUE} bytes")
    return _utf8(value, number) if number < _ISSUER_V2 - 1 else _utf8_string(value, number)


def _utf8_string(der: bytes, number: int) -> str:
    """A DER UTF8String, whole, its length in the shortest form. Source: X.690, sections 8.1.3 and 10.1."""
    length, start = _length(der)
    if der[:1] != b"\x0c" or length is None or len(der) != start + length:
        raise EvidenceRejectedError(_CHECK, f"{_FULCIO}{number} is no UTF8String in DER")
    return _utf8(der[start:], number)


def _length(der: bytes) -> tuple[int | None, int]:
    """The length of the content, and where it starts; None: not in DER, or beyond what is read."""
    match list(der[1:4]):
        case [short, *_] if short < 0x80:
            return short, 2
        case [0x81, one, *_] if one >= 0x80:
            return one, 3
        case [0x82, high, low] if high > 0:
            return high << 8 | low, 4
        case _:
            return None, 0


def _utf8(value: bytes, number: int) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise EvidenceRejectedError(_CHECK, f"{_FULCIO}{number} is not UTF-8") from cause


def _named(text: str, check: str) -> str:
    """A name that can be shown and compared without surprise."""
    if not text or len(text) > MAX_VALUE or not text.isprintable():
        raise EvidenceRejectedError(check, "it is empty, too long, or holds characters that do not print")
    return text
