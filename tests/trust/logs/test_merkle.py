"""Inclusion proofs lead from a leaf to the root, and from nothing else."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.trust.logs.merkle import leaf_hash, root_of
from tests.support.rekor_log import audit_path, tree_hash

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def test_every_leaf_of_every_small_tree_is_proven() -> None:
    for size in range(1, 40):
        leaves = [bytes([number]) for number in range(size)]
        for index, leaf in enumerate(leaves):
            assert root_of(leaf_hash(leaf), index, size, audit_path(index, leaves)) == tree_hash(leaves)


@settings(deadline=None)
@given(LEAVES, st.data())
def test_a_proof_leads_to_the_root_of_its_tree(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert root_of(leaf_hash(leaves[index]), index, len(leaves), audit_path(index, leaves)) == tree_hash(
        leaves
    )


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=2, max_size=70, unique=True), st.data())
def test_with_any_byte_of_the_proof_flipped_it_leads_elsewhere(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = audit_path(index, leaves)
    step = data.draw(st.integers(0, len(path) - 1))
    byte = data.draw(st.integers(0, 31))
    flipped = bytearray(path[step])
    flipped[byte] ^= data.draw(st.integers(1, 255))
    path[step] = bytes(flipped)
    assert root_of(leaf_hash(leaves[index]), index, len(leaves), path) != tree_hash(leaves)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=2, max_size=70, unique=True), st.data())
def test_a_proof_serves_no_other_leaf_and_no_other_place(leaves: list[bytes], data: st.DataObject) -> None:
    index, other = data.draw(st.lists(st.integers(0, len(leaves) - 1), min_size=2, max_size=2, unique=True))
    path, root = audit_path(index, leaves), tree_hash(leaves)
    assert root_of(leaf_hash(leaves[other]), index, len(leaves), path) != root
    assert root_of(leaf_hash(leaves[index]), other, len(leaves), path) != root


@settings(deadline=None)
@given(LEAVES, st.data())
def test_a_path_of_another_length_leads_nowhere(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = audit_path(index, leaves)
    leaf = leaf_hash(leaves[index])
    assert root_of(leaf, index, len(leaves), [*path, bytes(32)]) is None
    if path:
        assert root_of(leaf, index, len(leaves), path[:-1]) is None


def test_a_node_is_no_leaf() -> None:
    """RFC 6962, section 2.1: hashes of leaves and of nodes differ, or a node could pass for an entry."""
    leaves = [b"a", b"b", b"c", b"d"]
    node = sha256(b"\x00a").digest() + sha256(b"\x00b").digest()
    assert root_of(leaf_hash(node), 0, 2, [tree_hash(leaves[2:])]) != tree_hash(leaves)


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        pytest.param(-1, 1, [], id="before the tree"),
        pytest.param(1, 1, [], id="behind the tree"),
        pytest.param(0, 0, [], id="an empty tree"),
        pytest.param(0, 2, [b"short"], id="a hash of another length"),
        pytest.param(0, 2**63, [bytes(32)] * 64, id="a path longer than any"),
    ],
)
def test_what_no_tree_has_leads_nowhere(index: int, size: int, path: list[bytes]) -> None:
    assert root_of(leaf_hash(b"a"), index, size, path) is None
