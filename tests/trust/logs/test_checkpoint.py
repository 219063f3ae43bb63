"""A checkpoint counts when the log itself has signed it, whoever else has."""

import base64
import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.logs.checkpoint import MAX_SIGNATURES, Checkpoint, parse_checkpoint, verify_checkpoint
from regsync.trust.logs.keys import LogKey
from regsync.trust.trusted_root import TransparencyLog, Validity
from tests.support.rekor_log import RekorLog, b64, tree_hash
from tests.support.signing_keys import SigningKey, details, new_key, public_der, sign

V1, V2 = RekorLog(before=5), RekorLog(version=2, before=5)
OTHER = RekorLog(before=5)


def trusted(log: RekorLog) -> TransparencyLog:
    key = LogKey.parse(public_der(log.key), details(log.key))
    always = Validity(datetime(2020, 1, 1, tzinfo=UTC), None)
    return TransparencyLog(f"https://{log.host}", log.log_id, log.log_id, key, always)


def line(name: str, hint: bytes, signature: bytes) -> str:
    return f"— {name} {b64(hint + signature)}\n"


@pytest.mark.parametrize("log", [pytest.param(V1, id="Rekor v1"), pytest.param(V2, id="Rekor v2")])
def test_a_log_signs_its_size_and_root(log: RekorLog) -> None:
    checkpoint = verify_checkpoint(log.checkpoint(), trusted(log))
    assert (checkpoint.origin, checkpoint.size) == (log.origin, 5)
    assert checkpoint.root == tree_hash(log.leaves)


@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA"])
def test_keys_of_other_kinds_sign_too(kind: str) -> None:
    log = RekorLog(before=2)
    log.key = new_key(kind)
    log.log_id = hashlib.sha256(public_der(log.key)).digest()
    assert verify_checkpoint(log.checkpoint(), trusted(log)).size == 2


def test_lines_of_witnesses_and_of_unknown_keys_count_for_nothing() -> None:
    witness = line("witness.example", b"wit1", bytes(72))
    second_key = line(V2.host, b"late", bytes(64))  # a key of the log's that the root does not have yet
    head, _, own = V2.checkpoint().rpartition("\n\n")
    text = f"{head}\n\n{witness}{own}{second_key}"
    assert verify_checkpoint(text, trusted(V2)).size == 5


def test_witnesses_alone_do_not_speak_for_the_log() -> None:
    head = V2.checkpoint().rpartition("\n\n")[0]
    with pytest.raises(EvidenceRejectedError, match=r"no signature of rekor\.example by the key"):
        verify_checkpoint(f"{head}\n\n{line('witness.example', b'wit1', bytes(72))}", trusted(V2))


def test_a_second_line_of_the_same_key_has_to_hold_as_well() -> None:
    text = V1.checkpoint() + line(V1.host, V1.log_id[:4], bytes(70))
    with pytest.raises(EvidenceRejectedError, match="the signature is not by the key"):
        verify_checkpoint(text, trusted(V1))


def test_the_name_of_a_line_is_that_of_the_origin() -> None:
    text = V2.checkpoint().replace(f"— {V2.host}", "— rekor.github")
    with pytest.raises(EvidenceRejectedError, match=r"no signature of rekor\.example"):
        verify_checkpoint(text, trusted(V2))


def test_another_logs_signature_does_not_count() -> None:
    with pytest.raises(EvidenceRejectedError, match="no signature of"):
        verify_checkpoint(OTHER.checkpoint(), trusted(V1))
    forged = replace(trusted(V1), checkpoint_key_id=OTHER.log_id)
    with pytest.raises(EvidenceRejectedError, match="not by the key of"):
        verify_checkpoint(OTHER.checkpoint(), forged)


def test_the_key_id_of_checkpoints_may_differ_from_the_logs_id() -> None:
    log = replace(trusted(V1), log_id=b"another", checkpoint_key_id=V1.log_id)
    assert verify_checkpoint(V1.checkpoint(), log).size == 5


def test_lines_that_are_not_understood_are_signed_as_well() -> None:
    text = signed_note(V1.key, f"{V1.origin}\n5\n{b64(bytes(32))}\nTimestamp: 1689177396617352539\n")
    assert verify_checkpoint(text, trusted(V1)).size == 5
    with pytest.raises(EvidenceRejectedError, match="not by the key"):
        verify_checkpoint(text.replace("1689", "1690"), trusted(V1))


def signed_note(key: SigningKey, note: str) -> str:
    return f"{note}\n{line(V1.host, V1.log_id[:4], sign(key, note.encode()))}"


@settings(deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_with_any_byte_of_the_note_changed_it_is_refused(place: int, change: int) -> None:
    text = bytearray(V1.checkpoint().encode())
    note = bytes(text).index(b"\n\n")
    text[place % note] ^= change
    with pytest.raises(EvidenceRejectedError):
        verify_checkpoint(text.decode("utf-8", "surrogateescape"), trusted(V1))


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\n— 0a=\ud800"), max_size=200))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    with suppress(EvidenceRejectedError):
        parse_checkpoint(text)


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
LINES = st.tuples(NAMES, st.binary(min_size=5, max_size=80))


@settings(deadline=None)
@given(NAMES, st.integers(0, 10**18), st.binary(min_size=32, max_size=32), st.lists(LINES, min_size=1))
def test_what_was_written_is_what_is_read(
    origin: str, size: int, root: bytes, lines: list[tuple[str, bytes]]
) -> None:
    note = f"{origin}\n{size}\n{b64(root)}\n"
    text = note + "\n" + "".join(line(name, blob[:4], blob[4:]) for name, blob in lines)
    read = parse_checkpoint(text)
    assert read == Checkpoint(origin, size, root, note.encode(), read.signatures)
    assert [(one.name, one.hint + one.signature) for one in read.signatures] == lines


ROOT = b64(bytes(32))
GOOD = f"host\n1\n{ROOT}\n"
SIGNATURE = f"— host {base64.b64encode(bytes(10)).decode()}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "no note", id="nothing"),
        pytest.param(GOOD, "no note", id="no signatures"),
        pytest.param(f"{GOOD}\n{SIGNATURE.strip()}", "no note", id="no line end"),
        pytest.param(f"\n1\n{ROOT}\n\n{SIGNATURE}", "lacks an origin", id="no origin"),
        pytest.param(f"1\n{ROOT}\n\n{SIGNATURE}", "lacks an origin", id="a line is missing"),
        pytest.param(f"host\n01\n{ROOT}\n\n{SIGNATURE}", "is no number", id="a leading zero"),
        pytest.param(f"host\n-1\n{ROOT}\n\n{SIGNATURE}", "is no number", id="a negative size"),
        pytest.param(f"host\n{'9' * 5000}\n{ROOT}\n\n{SIGNATURE}", "is no number", id="a huge size"),
        pytest.param(f"host\n1\nAAAA\n\n{SIGNATURE}", "has 3 bytes", id="a short root"),
        pytest.param(f"host\n1\n{ROOT}!\n\n{SIGNATURE}", "not base64", id="a root that is not base64"),
        pytest.param(f"{GOOD}\n- host AAAAAAAA\n", "no signature line", id="no dash"),
        pytest.param(f"{GOOD}\n— host AAAAAA==\n", "too short", id="a hint alone"),
        pytest.param(
            f"{GOOD}\n{SIGNATURE * (MAX_SIGNATURES + 1)}", "more than 100", id="too many signatures"
        ),
        pytest.param(f"{GOOD}\r\n\n{SIGNATURE}", "control characters", id="a carriage return"),
        pytest.param(f"{'x' * 70000}\n1\n{ROOT}\n\n{SIGNATURE}", "more than 65536 bytes", id="too long"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str, reason: str) -> None:
    with pytest.raises(EvidenceRejectedError, match=reason):
        parse_checkpoint(text)
