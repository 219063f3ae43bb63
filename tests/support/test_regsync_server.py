import httpx

from tests.support.images import image
from tests.support.regsync_server import RegsyncServer


def test_our_own_registry_keeps_what_was_pushed_over_a_restart(regsync_server: RegsyncServer) -> None:
    pushed = regsync_server.push("a", image(), "v1")
    regsync_server.restart()
    answer = httpx.get(f"{regsync_server.url}/v2/a/manifests/v1", headers={"Accept": pushed.media_type})
    assert answer.content == pushed.data
