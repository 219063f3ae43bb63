"""A store that is too busy for a moment: the request that was refused may come again, as it was told."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.server import promises
from regsync.server.access import Action, AnonymousAccess
from regsync.server.policy import Policy
from regsync.store.errors import StoreBusyError
from regsync.store.gc_report import Rules, Run
from tests.server.asgi import Client, Served, served
from tests.server.put import put
from tests.support.clock import FrozenClock
from tests.support.images import image, noise, sha256

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


async def endless(*_: object) -> bool:
    await anyio.sleep_forever()
    return True


@pytest.mark.parametrize("claim", [busy, endless])
async def test_who_pushes_is_told_to_send_what_cannot_be_kept_for_it_now(
    tmp_path: Path, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch, claim: Callable[..., object]
) -> None:
    """A manifest that something leads to is shown all the same: who may push pulls it like that too."""
    content = image("one")
    manifest = f"/v2/team/app/manifests/{content.digest}"
    monkeypatch.setattr(promises, "WITHIN", 0.01)
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", content, "v1")
        repository = server.store.repository(APP)
        monkeypatch.setattr(repository, "claim", claim)
        assert (await server.head(manifest)).status == 200
        for data in content.blobs:
            assert (await server.head(f"/v2/team/app/blobs/{sha256(data)}")).status == 404
        await repository.untag(Tag("v1"))
        await server.store.collect_garbage(Rules(), Run.FOR_REAL)
        assert (await server.head(manifest)).status == 404
        server.app.policy = Policy(AnonymousAccess({Action.PULL}))
        assert (await server.head(manifest)).status == 200
