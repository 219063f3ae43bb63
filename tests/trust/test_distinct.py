"""Requirements are counted by signers of whom no two are the same, as many as can be."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.trust.distinct import distinct


@pytest.mark.parametrize(
    ("signers", "count"),
    [
        pytest.param([], 0, id="nothing is met"),
        pytest.param(["x", "x"], 1, id="one signer for both"),
        pytest.param(["xy", "x"], 2, id="the first leaves x to the second"),
        pytest.param(["xy", "yz", "x", "x"], 3, id="a chain of leaving"),
    ],
)
def test_the_most_that_can_be_counted(signers: list[str], count: int) -> None:
    assert distinct([frozenset(one) for one in signers]) == count


@given(st.lists(st.frozensets(st.sampled_from("vwxyz"), max_size=4), max_size=5))
def test_it_is_what_trying_everything_finds(signers: list[frozenset[str]]) -> None:
    everyone = [*"vwxyz", *([""] * len(signers))]
    best = max(
        sum(one in some for one, some in zip(given_to, signers, strict=True))
        for given_to in set(permutations(everyone, len(signers)))
    )
    assert distinct(signers) == best
