"""Ed25519ph, which `cryptography` lacks and cosign signs with when it writes bundles with an Ed25519 key.

It only verifies, with what everyone may see, so that nothing has to be done in constant time.
Source: RFC 8032, sections 5.1, 5.1.3, 5.1.7 and 6.
"""

import hashlib

DIGEST_SIZE = 64  # bytes of SHA-512, which a message is hashed with first

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)
_DOMAIN = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])  # prehashed, with an empty context

_Point = tuple[int, int, int, int]  # extended coordinates: x = X/Z, y = Y/Z, x·y = T/Z
_NEUTRAL: _Point = (0, 1, 1, 0)
_GENERATOR: _Point = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
    1,
    46827403850823179245072216630277197565144205554125654976674165829533817101731,
)


def has_signed(public_key: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether `signature` over a message with the SHA-512 `digest` is by `public_key`, of 32 bytes."""
    if len(public_key) != 32 or len(signature) != 64 or len(digest) != DIGEST_SIZE:
        return False
    key, nonce = _decompress(public_key), _decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or nonce is None or scalar >= _ORDER:
        return False
    challenge = hashlib.sha512(_DOMAIN + signature[:32] + public_key + digest).digest()
    factor = int.from_bytes(challenge, "little") % _ORDER
    negated = (_P - key[0], key[1], 1, _P - key[3])
    return _equal(_sum_of_products(scalar, _GENERATOR, factor, negated), nonce)


def _decompress(encoded: bytes) -> _Point | None:
    """The point that 32 bytes stand for; None if they stand for none."""
    value = int.from_bytes(encoded, "little")
    y, sign = value & (2**255 - 1), value >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _sum_of_products(first: int, one: _Point, second: int, other: _Point) -> _Point:
    """`first`·`one` + `second`·`other`, doubling once for both."""
    both, found = _add(one, other), _NEUTRAL
    choices = (None, one, other, both)
    for bit in range(max(first.bit_length(), second.bit_length()) - 1, -1, -1):
        found = _add(found, found)
        chosen = choices[(first >> bit & 1) | (second >> bit & 1) << 1]
        if chosen is not None:
            found = _add(found, chosen)
    return found


def _add(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _equal(one: _Point, other: _Point) -> bool:
    return (one[0] * other[2] - other[0] * one[2]) % _P == 0 and (
        one[1] * other[2] - other[1] * one[2]
    ) % _P == 0
