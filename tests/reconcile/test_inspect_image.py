"""Everything that refers to an image, wherever in it it is attached."""

from collections.abc import Container, Sequence

import pytest

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.inspection import Attached, Inspection
from regsync.oci.reference import Tag
from regsync.reconcile import inspect_image as inspecting
from regsync.reconcile.inspect_image import inspect_image
from tests.reconcile.world import CountingRepository, World
from tests.support.images import cosign_signature, cosign_tag, image, index, referrer

pytestmark = pytest.mark.anyio


@pytest.fixture
def world() -> World:
    return World()


async def look(repository: CountingRepository, tag: str = "v1") -> Inspection:
    return await inspect_image(repository, Tag(tag), f"hub/app:{tag}")


def digests(attached: Attached) -> list[str]:
    return [str(one.descriptor.digest) for one in attached.referrers]


async def test_referrers_of_platforms_and_of_referrers_are_shown_where_they_belong(world: World) -> None:
    amd64, arm64, nested = image("app"), image("app", arch="arm64"), index(image("x", arch="s390x"))
    app = await world.put("hub/app", index(amd64, arm64, nested), "v1")
    sbom = await world.put("hub/app", referrer(arm64))
    signed = await world.put("hub/app", referrer(sbom, artifact_type="a/signature"))
    of_nested = await world.put("hub/app", referrer(nested))
    of_all = await world.put("hub/app", referrer(app))
    await world.put("hub/app", cosign_signature(sbom), cosign_tag(sbom))

    found = await look(world.repository("hub/app"))

    by_digest = {str(part.descriptor.digest): part.attached for part in found.parts}
    assert digests(found.attached) == [of_all.digest]
    assert digests(by_digest[amd64.digest]) == []
    assert digests(by_digest[arm64.digest]) == [sbom.digest]
    assert digests(by_digest[nested.digest]) == [of_nested.digest]
    (at_sbom,) = by_digest[arm64.digest].referrers
    assert digests(at_sbom.attached) == [signed.digest]
    assert at_sbom.attached.digest_tags == (Tag(cosign_tag(sbom)),)
    assert found.unasked == 0


async def test_an_index_costs_a_listing_and_no_request_for_each_digest_tag(world: World) -> None:
    await world.put("hub/app", index(*(image("app", arch=arch) for arch in ("amd64", "arm64"))), "v1")
    hub = world.repository("hub/app")
    world.forget_calls()

    await look(hub)

    assert hub.count("tags") == 1
    assert hub.count("resolve") == 0


async def test_the_referrers_of_a_single_image_stand_at_the_image_alone(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    sbom = await world.put("hub/app", referrer(app))

    found = await look(world.repository("hub/app"))

    assert digests(found.attached) == [sbom.digest]
    assert [part.attached for part in found.parts] == [Attached()]


async def test_levels_and_requests_are_bounded_and_what_is_beyond_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = await world.put("hub/app", image("app"), "v1")
    for _ in range(6):
        top = await world.put("hub/app", referrer(top))
    deep = await look(world.repository("hub/app"))
    levels, at = 0, deep.attached
    while at.referrers:
        levels, at = levels + 1, at.referrers[0].attached
    assert (levels, deep.unasked) == (4, 1)

    monkeypatch.setattr(inspecting, "MAX_SUBJECTS", 3)
    many = index(*(image("app", arch=f"a{number}") for number in range(5)))
    await world.put("hub/app", many, "v2")
    assert (await look(world.repository("hub/app"), "v2")).unasked == 3


class Liar(CountingRepository):
    """Lists the same two referrers for whatever it is asked about."""

    always: Sequence[Descriptor] = ()

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        return self.always


async def test_referrers_that_refer_to_each_other_end(world: World) -> None:
    world.repository("hub/other")
    liar = Liar("hub:app", world.places["hub"])
    world.places["hub"]._repositories["app"] = liar
    await world.put("hub/app", image("app"), "v1")
    one, other = Digest.of(b"one"), Digest.of(b"other")
    liar.always = [Descriptor("x/y", digest, 1) for digest in (one, other)]

    found = await look(liar)

    first, second = found.attached.referrers
    assert digests(first.attached) == [str(one), str(other)]
    assert digests(second.attached) == []
    assert found.unasked == 0
