"""Evidence that says far more than anybody asks: what is kept of it, and how much of one manifest is read."""

from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError

import anyio
import pytest

from regsync.oci.digest import Digest
from regsync.oci.manifest import MIB
from regsync.spec.verification import AttestationRequirement, Select, SignatureRequirement
from regsync.trust.envelopes import NotationEnvelope, Proven, Question, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.examine import Examined
from regsync.trust.formats import MAX_LAYERS, read_piece
from regsync.trust.inquiry import FEW, Asked, examine_in_turn, is_small
from regsync.trust.verdict import Result
from tests.support.evidence_pieces import piece_of
from tests.support.images import Content, image
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
    DSSE,
    IN_TOTO,
    SLSA,
    Layer,
    as_json,
    b64,
    layers_manifest,
    signature_layer,
)
from tests.support.sigstore_pki import Signer
from tests.support.vouched import APP, OTHER, Court, attested, signed

CORE = SignatureRequirement("ops", {"team": "core"})
KEY = Signer(new_key())


def examined(annotations: dict[str, str]) -> Examined:
    (found,) = Court(CORE, ops="olga").examine(signed("olga", annotations=annotations))
    return found


def test_of_annotations_only_those_are_kept_that_a_policy_asks_for() -> None:
    found = examined({"team": "core"} | {f"{n}": "" for n in range(20_000)})
    assert found.message is not None
    assert found.message.annotations == {"team": "core"}


def test_of_an_annotation_enough_is_kept_to_see_that_it_is_another() -> None:
    found = examined({"team": "core" + "x" * 200_000})
    assert found.message is not None
    assert len(found.message.annotations["team"]) < 200
    verdict = Court(CORE, ops="olga").judge(signed("olga", annotations={"team": "core" + "x" * 200_000}))
    assert verdict.result is Result.FAIL
    assert "its annotation team is 'corexx" in (verdict.reason or "")


def test_of_subjects_those_are_kept_that_are_judged_or_one_for_people() -> None:
    many = [{"digest": {"sha256": f"{n:064x}"}} for n in range(1000)]
    court = Court(CORE, ops="olga")
    for named, kept in (([APP, OTHER], {APP, OTHER}), ([], {f"sha256:{0:064x}"})):
        subjects = [*many, *({"digest": {"sha256": one.removeprefix("sha256:")}} for one in named)]
        statement = {"_type": "https://in-toto.io/Statement/v1", "predicateType": SLSA, "subject": subjects}
        envelope = {
            "payloadType": IN_TOTO,
            "payload": b64(as_json(statement)),
            "signatures": [{"sig": b64(b"x")}],
        }
        content = layers_manifest(Layer(DSSE, as_json(envelope)))
        (found,) = court.examine(piece_of(content, APP), subjects=[OTHER])
        assert found.message is not None
        assert found.message.subjects == frozenset(map(Digest.parse, kept))


def test_of_a_manifest_a_thousand_layers_are_read_however_often_one_is_named() -> None:
    app = image("app")
    content = layers_manifest(*[signature_layer(KEY, app.digest)] * (MAX_LAYERS + 500))
    *_, last = found = list(read_piece(piece_of(content, app.digest, "tag:.sig")))
    assert len(found) == MAX_LAYERS + 1
    assert "more than 1000 layers" in getattr(last, "reason", "")


def test_what_comes_after_the_bound_may_be_the_newest() -> None:
    """cosign appends to one manifest, so that the last of daily scans is the one that is not read."""
    old, new = (
        attested("olga", SLSA, {"metadata": {"timestamp": day}}) for day in ("2026-01-01", "2026-02-01")
    )
    layers = [old.document["layers"][0]] * MAX_LAYERS + [new.document["layers"][0]]
    appended = Content(old.media_type, as_json(old.document | {"layers": layers}), (*old.blobs, *new.blobs))
    for select, result in (
        (Select.NEWEST, Result.ERROR),
        (Select.ALL, Result.ERROR),
        (Select.ANY, Result.PASS),
    ):
        court = Court(AttestationRequirement(SLSA, "ops", select=select), ops="olga")
        assert court.judge(appended).result is result


def test_a_payload_under_many_signatures_is_no_small_piece() -> None:
    app = image("app")
    layer = signature_layer(KEY, app.digest)
    assert is_small(piece_of(layers_manifest(layer), app.digest))
    assert not is_small(piece_of(layers_manifest(*[layer] * (FEW + 1)), app.digest))


class Meeting:
    """An authority that waits a moment for another question to be put to it at the same time."""

    name = "ops"

    def __init__(self) -> None:
        self.barrier, self.met = Barrier(2), 0

    def verify(self, envelope: SigstoreEnvelope | NotationEnvelope, question: Question) -> Proven:
        """Never vouches."""
        with suppress(BrokenBarrierError):
            self.barrier.wait(0.05)
            self.met += 1
        raise EvidenceRejectedError("signature", "it is nobody's")


@pytest.mark.anyio
@pytest.mark.parametrize(("size", "meet"), [(1 * MIB, 2), (18 * MIB, 0)])
async def test_much_json_of_several_images_is_understood_in_turn(size: int, meet: int) -> None:
    court = Court(AttestationRequirement(SLSA, "ops"), ops="olga")
    meeting = Meeting()
    policy = replace(court.compiled, authorities={"ops": meeting})
    piece = piece_of(attested("mallory", SLSA, {"text": "x" * (size * 3 // 4)}), APP)
    asked = Asked(policy, {}, ())
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(examine_in_turn, piece, asked, court.question)
    assert meeting.met == meet
