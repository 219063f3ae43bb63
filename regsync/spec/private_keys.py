"""Telling private keys, which stand in no spec, from what may be read by many.

Whoever puts one where a public key belongs is told so, and no message, report or digest has it.
"""

import re

IS_PRIVATE = "this is a private key: name the public one, and treat this one as lost if it was in git"

_PEM = "PRIVATE KEY"
_PRIVATE = re.compile(
    rb"-----BEGIN [A-Za-z0-9 ]{0,40}PRIVATE KEY|AGE-SECRET-KEY-|\"d\"\s*:\s*\"[A-Za-z0-9_-]{20}"
)
_DER_SEQUENCE, _DER_INTEGER = 0x30, 0x02


def has_private_pem(text: str) -> bool:
    """Whether a private key in PEM form stands in a text."""
    return _PEM in text and is_private(text.encode("utf-8", "replace"))


def is_private(data: bytes) -> bool:
    """Whether bytes look like a private key: PEM, a JSON Web Key, or DER (PKCS #1, #8, #12, SEC 1).

    What is public (keys, certificates) begins with a SEQUENCE in a SEQUENCE, what is private with a
    version, an INTEGER of one byte.
    """
    if _PRIVATE.search(data) is not None:
        return True
    if len(data) < 4 or data[0] != _DER_SEQUENCE:
        return False
    length = data[1]
    inner = 2 if length < 0x80 else 2 + (length & 0x7F)
    return data[inner : inner + 2] == bytes((_DER_INTEGER, 1))
