"""Errors say what to do next, also where nothing special is known of the case."""

import pytest

from regsync.content.errors import DigestMismatchError, ForeignLayerError, NoPlatformError, SizeMismatchError
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import UnsupportedManifestError
from regsync.remote.errors import (
    ForbiddenError,
    RegistryUnreachableError,
    UnexpectedAnswerError,
    UnknownHostError,
)

DESC = Descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", Digest.of(b"x"), 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(RegistryUnreachableError("refused"), "http://", id="a refused connection"),
        pytest.param(
            UnknownHostError("GET https://registry.example.com/", "no such host"),
            "typing error",
            id="an unknown host",
        ),
        pytest.param(ForbiddenError("403", status=403), "the right", id="a forbidden request"),
        pytest.param(UnexpectedAnswerError("HTML"), "login page", id="HTML with 200"),
        pytest.param(DigestMismatchError(DESC.digest, DESC.digest, where="hub"), "damaged", id="wrong bytes"),
        pytest.param(SizeMismatchError(DESC, 2, where="hub"), "damaged", id="a wrong length"),
        pytest.param(NoPlatformError(DESC.digest, [], [], where="hub"), "platforms", id="no platform"),
        pytest.param(ForeignLayerError(DESC, where="hub"), "excludeTags", id="a foreign layer"),
        pytest.param(UnsupportedManifestError("schema 1"), "excludeTags", id="schema 1"),
    ],
)
def test_what_to_do_next(error: RegsyncError, words: str) -> None:
    assert words in str(error.hint)


def test_a_hint_of_its_own_comes_before_the_usual_one() -> None:
    assert RegistryUnreachableError("413", hint="the body is too long").hint == "the body is too long"
