"""Runs in tests do not wait between retries."""

import pytest


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr("regsync.content.transfers.FIRST_PAUSE", 0.0)
