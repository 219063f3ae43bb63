"""Guessing is slowed, for who guesses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.server.failed_logins import FREE_OF_CLIENT, FREE_OF_USER, LONGEST, FailedLogins, network_of
from tests.support.clock import FrozenClock

HERE, THERE = "192.0.2.1", "192.0.2.2"


def failures(failed: FailedLogins, count: int, *, client: str = HERE, user: str = "ann") -> list[float]:
    return [failed.attempt(client, user) for _ in range(count)]


def test_each_wrong_password_makes_the_wait_longer() -> None:
    clock = FrozenClock()
    failed = FailedLogins(clock)
    assert failures(failed, FREE_OF_USER) == [0.0] * FREE_OF_USER
    waits = []
    for _ in range(12):
        waits.append(failed.attempt(HERE, "ann"))
        clock.advance(waits[-1])
        assert failed.attempt(HERE, "ann") == 0.0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST, LONGEST, LONGEST]


def test_waiting_is_not_prolonged_by_asking() -> None:
    clock = FrozenClock()
    failed = FailedLogins(clock)
    failures(failed, FREE_OF_USER)
    assert failures(failed, 50) == [1.0] * 50


def test_another_user_or_another_client_does_not_wait() -> None:
    failed = FailedLogins(FrozenClock())
    failures(failed, FREE_OF_USER)
    assert failed.attempt(HERE, "ann") > 0
    assert failed.attempt(HERE, "bob") == 0
    assert failed.attempt(THERE, "ann") == 0


def test_trying_many_users_is_slowed_too() -> None:
    failed = FailedLogins(FrozenClock())
    for number in range(FREE_OF_CLIENT):
        assert failed.attempt(HERE, f"user{number}") == 0
    assert failed.attempt(HERE, "one more") > 0
    assert failed.attempt(THERE, "one more") == 0


def test_a_right_password_ends_the_waiting_for_that_user_alone() -> None:
    failed = FailedLogins(FrozenClock())
    failures(failed, FREE_OF_USER - 1)
    failures(failed, FREE_OF_USER, user="bob")
    failed.attempt(HERE, "ann")
    failed.succeeded(HERE, "ann")
    assert failures(failed, FREE_OF_USER) == [0.0] * FREE_OF_USER
    assert failed.attempt(HERE, "bob") > 0


def test_ones_own_logins_do_not_pay_for_guesses() -> None:
    """Whoever has an account may not guess others' passwords between logins of his own."""
    failed = FailedLogins(FrozenClock())
    for number in range(FREE_OF_CLIENT):
        assert failed.attempt(HERE, f"user{number}") == 0
        if failed.attempt(HERE, "mallory") == 0:
            failed.succeeded(HERE, "mallory")
    assert failed.attempt(HERE, "one more") > 0


def test_what_came_to_no_answer_does_not_count() -> None:
    failed = FailedLogins(FrozenClock())
    for _ in range(100):
        assert failed.attempt(HERE, "ann") == 0
        failed.forget(HERE, "ann")


def test_failures_are_forgotten_in_an_hour() -> None:
    clock = FrozenClock()
    failed = FailedLogins(clock)
    failures(failed, FREE_OF_USER)
    clock.advance(3601)
    assert failures(failed, FREE_OF_USER) == [0.0] * FREE_OF_USER


def test_what_is_remembered_is_bounded() -> None:
    failed = FailedLogins(FrozenClock())
    for number in range(30_000):
        failed.attempt(f"10.{number >> 16}.{(number >> 8) & 255}.{number & 255}", "a" * 10_000)
    assert len(failed._records) <= 20_000
    assert max(len(user or "") for _, user in failed._records) <= 128


def test_a_refused_attempt_is_not_remembered() -> None:
    failed = FailedLogins(FrozenClock())
    for number in range(FREE_OF_CLIENT):
        failed.attempt(HERE, f"user{number}")
    before = len(failed._records)
    assert failed.attempt(HERE, "one more") > 0
    assert len(failed._records) == before


def test_a_flood_of_made_up_users_does_not_end_the_waiting_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regsync.server.failed_logins.MAX_REMEMBERED", 100)
    clock = FrozenClock()
    failed = FailedLogins(clock)
    for _ in range(FREE_OF_USER + 6):
        clock.advance(failed.attempt(HERE, "admin"))
    wait = failed.attempt(HERE, "admin")
    for number in range(1_000):
        failed.attempt(f"2001:db8:0:{number:x}::1", f"user{number}")
    assert failed.attempt(HERE, "admin") == wait > 0
    assert len(failed._records) <= 100


def test_those_in_the_middle_of_guessing_are_remembered_before_those_that_failed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("regsync.server.failed_logins.MAX_REMEMBERED", 100)
    failed = FailedLogins(FrozenClock())
    failures(failed, FREE_OF_USER - 1)
    for number in range(1_000):
        failed.attempt(f"2001:db8:0:{number:x}::1", f"user{number}")
    assert failures(failed, 2) == [0.0, 1.0]


def test_an_attempt_that_is_taken_back_after_it_was_forgotten_gives_no_free_tries() -> None:
    clock = FrozenClock()
    failed = FailedLogins(clock)
    failed.attempt(HERE, "ann")
    failed.succeeded(HERE, "ann")
    for _ in range(10):
        failed.forget(HERE, "ann")
    assert failures(failed, FREE_OF_USER + 1) == [*[0.0] * FREE_OF_USER, 1.0]
    for number in range(FREE_OF_CLIENT - FREE_OF_USER):
        assert failed.attempt(HERE, f"user{number}") == 0
    assert failed.attempt(HERE, "one more") > 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", True, id="one address"),
        pytest.param("192.0.2.1", "192.0.2.2", False, id="two addresses"),
        pytest.param("192.0.2.1", "::ffff:192.0.2.1", True, id="mapped"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="one site"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="two sites"),
        pytest.param("", "", True, id="a Unix socket"),
    ],
)
def test_one_client_is_an_address_or_an_ipv6_site(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=80))
def test_a_guesser_never_gets_more_free_tries_than_are_promised(steps: list[tuple[str, bool]]) -> None:
    """While time stands still; `b` and `c` are accounts of the guesser's own, `a` is not."""
    failed = FailedLogins(FrozenClock())
    guesses = 0
    for user, is_right in steps:
        if failed.attempt(HERE, user) > 0:
            continue
        if user != "a" and is_right:
            failed.succeeded(HERE, user)
        elif user == "a":
            guesses += 1
    assert guesses <= FREE_OF_USER
