"""The time of an entry is believed under the log's signature alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regsync.trust.envelopes import LogEntry
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.logs.keys import LogKey
from regsync.trust.logs.promise import verify_promise
from regsync.trust.trusted_root import TransparencyLog, Validity
from tests.support.rekor_log import RekorLog
from tests.support.signing_keys import details, public_der

AT = datetime(2026, 11, 1, 10, tzinfo=UTC)
SECONDS = int(AT.timestamp())
LOG = RekorLog()
TRUSTED = TransparencyLog(
    "https://rekor.example",
    LOG.log_id,
    LOG.log_id,
    LogKey.parse(public_der(LOG.key), details(LOG.key)),
    Validity(AT, AT),
)
ENTRY = LogEntry(LOG.log_id, 7, "hashedrekord", "0.0.1", b"{}", SECONDS, LOG.promise(b"{}", 7, SECONDS))


def test_a_promise_says_when() -> None:
    assert verify_promise(ENTRY, TRUSTED) == AT


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda entry: replace(entry, body=b"[]"), id="the body"),
        pytest.param(lambda entry: replace(entry, integrated_time=SECONDS + 1), id="the time"),
        pytest.param(lambda entry: replace(entry, index=8), id="the index"),
        pytest.param(lambda entry: replace(entry, log_id=bytes(32)), id="the log"),
        pytest.param(lambda entry: replace(entry, promise=bytes(70)), id="the promise"),
    ],
)
def test_everything_that_was_signed_has_to_be_as_it_was(change: Callable[[LogEntry], LogEntry]) -> None:
    with pytest.raises(EvidenceRejectedError, match=r"not by the key of https://rekor\.example") as refused:
        verify_promise(change(ENTRY), TRUSTED)
    assert refused.value.check == "log promise (SET)"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(AT + timedelta(seconds=1), None, id="before the key's time"),
        pytest.param(AT - timedelta(days=1), AT - timedelta(seconds=1), id="after the key's time"),
    ],
)
def test_the_key_has_to_be_valid_at_the_time(start: datetime, end: datetime | None) -> None:
    with pytest.raises(EvidenceRejectedError, match="is outside of"):
        verify_promise(ENTRY, replace(TRUSTED, valid=Validity(start, end)))


@pytest.mark.parametrize("time", [0, -5, 10**18, None])
def test_a_time_that_is_none_is_refused(time: int | None) -> None:
    with pytest.raises(EvidenceRejectedError, match="no time"):
        verify_promise(replace(ENTRY, integrated_time=time), TRUSTED)
