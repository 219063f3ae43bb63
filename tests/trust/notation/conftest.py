"""Asking a notary, as the policies of regsync do."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from regsync.oci.digest import Digest
from regsync.spec.verification import Material, NotationLevel, NotationRoot
from regsync.trust.envelopes import Image, Proven, Question
from regsync.trust.notation.reading import read_notation
from regsync.trust.notation.verifier import Notary, NotationTrust
from tests.support.notation_pki import Holder, make_root

NOW = datetime(2026, 7, 1, tzinfo=UTC)
DIGEST = Digest.parse("sha256:" + "a" * 64)

Prove = Callable[..., Proven]


@pytest.fixture(scope="session")
def root() -> Holder:
    """The root that `prove` trusts unless told otherwise."""
    return make_root()


@pytest.fixture
def prove(root: Holder) -> Prove:
    """`prove(raw, media_type)`: what a notary says of an envelope; raises EvidenceRejectedError."""

    def ask(
        raw: bytes,
        media_type: str,
        *,
        stores: Mapping[str, bytes] | None = None,
        level: NotationLevel | None = None,
        identities: Sequence[str] = (),
        policy: Mapping[str, Any] | None = None,
        now: datetime = NOW,
        image: str = "registry.example/acme/app",
    ) -> Proven:
        held = {"ca:acme": root.pem} if stores is None else stores
        materials = {name: (Material(f"{name}.pem", data),) for name, data in held.items()}
        document = Material("trustpolicy.oci.json", json.dumps(policy).encode()) if policy else None
        trust = NotationTrust.parse(NotationRoot(materials, document))
        host, _, repository = image.partition("/")
        question = Question(Image("hub", repository, "v1", DIGEST, host), now)
        notary = Notary.of("vendor", trust, level, tuple(identities))
        return notary.verify(read_notation(raw, media_type), question)

    return ask
