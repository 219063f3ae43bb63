"""How many requirements are met by signers of whom no two are the same."""

from collections.abc import Sequence


def distinct(signers: Sequence[frozenset[str]]) -> int:
    """The most of these sets that can each be given a member that no other was given.

    A maximum matching (Kuhn 1955): taking the first that is free would count one too few where a signer
    who could stand for two was spent on the wrong one.
    """
    given: dict[str, int] = {}
    return sum(_give(index, signers, given, set()) for index in range(len(signers)))


def _give(index: int, signers: Sequence[frozenset[str]], given: dict[str, int], tried: set[str]) -> bool:
    for one in sorted(signers[index] - tried):
        tried.add(one)
        if one not in given or _give(given[one], signers, given, tried):
            given[one] = index
            return True
    return False
