"""A store that is too busy for a moment: the request that was refused may come again, as it was told."""

from pathlib import Path

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.store.errors import StoreBusyError
from tests.server.asgi import Client, Served, served
from tests.support.clock import FrozenClock
from tests.support.images import noise, sha256

pytestmark = pytest.mark.anyio
APP = RepositoryName("team/app")


async def send(server: Served, method: str, target: str, body: bytes = b"") -> Client:
    client = Client(server.app, method, target, {"content-length": str(len(body))}, body)
    await client.run()
    return client


async def busy(*_: object) -> None:
    raise StoreBusyError("store", "database is locked")


@pytest.mark.parametrize("step", ["_take", "_link"])
@pytest.mark.parametrize("size", [1000, 3 * 1024 * 1024], ids=["small", "large"])
async def test_the_last_request_of_an_upload_may_come_again(
    tmp_path: Path, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch, step: str, size: int
) -> None:
    whole = noise("blob", size)
    async with served(tmp_path, clock) as server:
        begun = await send(server, "POST", "/v2/team/app/blobs/uploads/")
        put = f"{begun.reply.headers['location']}?digest={sha256(whole)}"
        with monkeypatch.context() as held:
            held.setattr(server.store.repository(APP), step, busy)
            refused = await send(server, "PUT", put, whole)
            assert (refused.reply.status, refused.reply.headers["retry-after"]) == (503, "5")
        assert (await send(server, "PUT", put, whole)).reply.status == 201
        blob = await server.store.repository(APP).blob(Digest.of(whole))
        assert blob is not None
        assert blob.size == size
