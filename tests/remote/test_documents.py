"""Small documents from URLs that somebody trusted."""

import json
from collections.abc import Iterator

import pytest

from regsync.remote.documents import fetch_document
from regsync.remote.errors import RegistryUnreachableError, TlsError, TooLargeError, UnexpectedAnswerError
from tests.support.certificates import Certificates
from tests.support.oidc_issuer import OidcIssuer
from tests.support.processes import free_port

pytestmark = pytest.mark.anyio
LIMIT = 10_000  # bytes


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as one:
        yield one


async def fetch(issuer: OidcIssuer) -> bytes:
    return await fetch_document(f"{issuer.url}/keys", ca=None, limit=LIMIT)


async def test_the_body_comes_as_it_was_sent(issuer: OidcIssuer) -> None:
    assert json.loads(await fetch(issuer)) == {"keys": issuer.keys}


async def test_a_document_may_be_as_long_as_its_limit_and_no_longer(issuer: OidcIssuer) -> None:
    issuer.body = b"a" * LIMIT
    assert await fetch(issuer) == issuer.body
    issuer.body += b"a"
    with pytest.raises(TooLargeError, match="longer than 10000 bytes"):
        await fetch(issuer)


async def test_a_redirect_is_not_followed(issuer: OidcIssuer) -> None:
    issuer.redirect = f"{issuer.url}/elsewhere"
    with pytest.raises(UnexpectedAnswerError, match="expected 200, found 302"):
        await fetch(issuer)
    assert issuer.paths == ["/keys"]


async def test_who_is_down_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}/keys"
    with pytest.raises(RegistryUnreachableError, match=url):
        await fetch_document(url, ca=None, limit=LIMIT)


async def test_an_authority_of_ones_own_is_trusted_where_it_is_named(certificates: Certificates) -> None:
    with OidcIssuer(certificates=certificates) as issuer:
        with pytest.raises(TlsError):
            await fetch(issuer)
        url = f"{issuer.url}/keys"
        found = await fetch_document(url, ca=certificates.ca, limit=LIMIT)
        assert json.loads(found) == {"keys": issuer.keys}
