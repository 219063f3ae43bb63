"""An image, the private Sigstore that signs it, and what a policy says of it by one piece of evidence."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from regsync.content.pieces import Piece
from regsync.spec.verification import LogUse, TrustRoot
from regsync.trust.verdict import Result
from tests.support.evidence_drafts import Draft, bundle_draft, layer_draft
from tests.support.evidence_pieces import piece_of
from tests.support.images import image
from tests.support.judging import (
    judged,
    key_of,
    keyless,
    policy_of,
    trust_of,
)
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
    Witness,
    dsse_bundle,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Leaf, Signer, SigstorePki

APP, OTHER = image("app"), image("other")
PKI = SigstorePki()
ROGUE = SigstorePki()
LOGGED = Witness(PKI.log)
LATE = timedelta(hours=1)
TIMESTAMPS = trust_of(PKI, tlog=0, timestamps=1)


def verdict(draft: Draft, trust: TrustRoot | None = None) -> tuple[Result, str]:
    """What a keyless policy says of APP with this evidence alone."""
    policy = policy_of(keyless(), trust or trust_of(PKI))
    found = judged(policy, [piece_of(draft.content(), APP.digest, draft.location)], APP.digest)
    return found.result, found.reason or ""


def bundle(signer: Signer, witness: Witness = LOGGED) -> Draft:
    return bundle_draft(dsse_bundle(signer, statement(APP.digest), witness), APP)


def layer(signer: Signer, witness: Witness = LOGGED) -> Draft:
    return layer_draft(signature_layer(signer, APP.digest, witness), "tag:.sig")


def certified(leaf: Leaf | None = None, pki: SigstorePki = PKI, kind: str = "P-256") -> Signer:
    return pki.certify(new_key(kind), leaf)


BOTH = pytest.mark.parametrize("make", [pytest.param(layer, id="layer"), pytest.param(bundle, id="bundle")])
Make = Callable[..., Draft]


def judged_by_key(
    signer: Signer, found: Piece, digest: str = APP.digest, tlog: LogUse = LogUse.IGNORE
) -> tuple[Result, str]:
    policy = policy_of(key_of(signer, tlog), trust_of(PKI))
    answer = judged(policy, [found], digest)
    return answer.result, answer.reason or ""
