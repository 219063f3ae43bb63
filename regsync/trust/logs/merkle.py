"""Inclusion in a Merkle tree. Source: RFC 9162, section 2.1.3.2 (RFC 6962 has the same tree)."""

from collections.abc import Sequence
from hashlib import sha256

MAX_PATH = 63  # hashes: a tree has fewer than 2^63 leaves


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two others."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that `path` leads to from the leaf hash at `index` of `size` leaves; None: no such path.

    The path's length is fixed by `index` and `size`; a longer or a shorter one leads nowhere.
    """
    if not 0 <= index < size or len(path) > MAX_PATH or any(len(step) != 32 for step in path):
        return None
    node, position, last = leaf, index, size - 1
    for step in path:
        if last == 0:
            return None
        if position & 1 or position == last:
            node = node_hash(step, node)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, step)
        position >>= 1
        last >>= 1
    return node if last == 0 else None
