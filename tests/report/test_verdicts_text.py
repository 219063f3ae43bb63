"""What `regsync verify` says to people."""

from datetime import UTC, datetime

import pytest

from regsync.oci.digest import Digest
from regsync.report.verdicts import Verified, as_text
from regsync.spec.verification import Mode
from regsync.trust.verdict import Result, Verdict

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DIGEST = Digest.of(b"app")


def text(result: Result, reason: str | None) -> str:
    verdict = Verdict("prod", Mode.ENFORCE, DIGEST, result, reason, expires=NOW)
    return "".join(as_text([Verified("hub/app:v1", DIGEST, (verdict,))]))


def test_what_cannot_be_told_holds_until_no_time() -> None:
    assert "holds until" not in text(Result.ERROR, "hub answered 503")
    assert "holds until 2026-11-24" in text(Result.PASS, None)


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b]0;owned\x07", "\u202eelbasu", "a\nPASS  signature by ops"])
def test_nothing_that_others_wrote_moves_the_terminal(hostile: str) -> None:
    shown = text(Result.FAIL, f"its annotation team is {hostile}")
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert len(shown.splitlines()) == 3
