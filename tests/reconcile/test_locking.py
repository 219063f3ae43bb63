"""What a lock file should say, by what sources have: digests, sizes, signers, and what stays in doubt."""

from datetime import timedelta

import pytest

from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.plan.model import Cause, exit_code
from regsync.reconcile.locking import Looked, look_up
from regsync.spec.lock import LockEntry
from regsync.spec.lock_merge import Current
from regsync.spec.model import Binding, TagRule
from tests.reconcile.test_verification import policy, signature
from tests.reconcile.world import World
from tests.support.images import image, index

pytestmark = pytest.mark.anyio


class DownError(TemporaryError):
    """A registry that is down."""


@pytest.fixture
def world() -> World:
    return World()


async def look(world: World) -> Looked:
    return await look_up(world.spec(), world.engine())


def current(looked: Looked) -> dict[str, Current]:
    return {one.entry.name: one for unit in looked.units for one in unit.current}


def entries(looked: Looked) -> dict[str, LockEntry]:
    return {name: one.entry for name, one in current(looked).items()}


async def test_every_selected_tag_has_its_digest_its_rule_and_its_size(world: World) -> None:
    app = await world.put("hub/app", image("app", layers=[b"12345"]), "v1", "other")
    pinned = await world.put("hub/app", image("pinned"))
    world.mirror(
        "app", "hub/app", ["ours/app"], digests=(Digest.parse(pinned.digest),), own_rules=[TagRule(glob="v*")]
    )

    looked = await look(world)

    assert (looked.problems, [unit.whole for unit in looked.units]) == ((), [True])
    found = entries(looked)
    assert sorted(found) == ["hub.test/app:v1", f"hub.test/app@{pinned.digest}"]
    entry = found["hub.test/app:v1"]
    assert (str(entry.digest), entry.mirror, entry.rule) == (app.digest, "app", "glob 'v*'")
    assert entry.size == len(app.data) + sum(map(len, app.blobs))
    assert (entry.index, entry.target) == (None, None)


async def test_no_target_is_asked_for_anything(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    await look(world)
    assert world.repository("ours/app").calls == []


async def test_a_trimmed_index_has_the_digest_that_targets_will_have(world: World) -> None:
    whole = await world.put("hub/app", index(image("app"), image("app", arch="arm64")), "v1")
    single = await world.put("hub/app", image("single", arch="arm64"), "v2")
    world.mirror("app", "hub/app", ["ours/app"], platforms=(Platform.of("linux", "arm64"),))

    found = entries(await look(world))
    await world.sync()

    entry = found["hub.test/app:v1"]
    assert (str(entry.digest), str(entry.index)) == (whole.digest, whole.digest)
    assert str(entry.target) == await world.tag("ours/app", "v1") != whole.digest
    assert str(found["hub.test/app:v2"].trimmed) == single.digest


async def test_signers_are_noted_and_what_is_refused_is_told(world: World) -> None:
    good, bad = (
        await world.put("hub/app", image("good"), "v1"),
        await world.put("hub/app", image("bad"), "v2"),
    )
    await world.put("hub/app", signature(good))
    world.policies.append(policy())
    world.mirror("app", "hub/app", ["ours/app"], verify=("prod",))

    looked = await look(world)

    found = current(looked)
    assert len(found["hub.test/app:v1"].entry.signers) == 1
    assert found["hub.test/app:v1"].refused is None
    assert "refused by policy prod" in str(found["hub.test/app:v2"].refused)
    assert str(found["hub.test/app:v2"].entry.digest) == bad.digest
    assert exit_code(looked.problems) == Cause.POLICY


async def test_a_source_that_fails_or_has_too_few_tags_leaves_its_unit_in_doubt(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    await world.put("hub/few", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    world.mirror("few", "hub/few", ["ours/few"], at_least=2)
    world.repository("hub/app").fail("tags", DownError("503"))

    looked = await look(world)

    assert [(unit.mirror, unit.whole, unit.current) for unit in looked.units] == [
        ("app", False, ()),
        ("few", False, ()),
    ]
    assert exit_code(looked.problems) == Cause.ERROR


async def test_a_tag_that_cannot_be_read_and_a_name_that_is_missing_are_selected_all_the_same(
    world: World,
) -> None:
    await world.put("hub/app", image("app"), "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v*", "stable"])
    world.repository("hub/app").fail("manifest", DownError("503"), when="v1")

    (unit,) = (await look(world)).units

    assert (unit.whole, unit.unread) == (True, {"v1", "stable"})
    assert [one.entry.tag for one in unit.current] == ["v2"]


async def test_first_sight_is_the_ledgers_and_immutability_the_mirrors(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], rename="r-{tag}", immutable=("r-*",))
    began = world.clock.now()
    await look(world)
    world.clock.advance(timedelta(days=5))
    await world.put("hub/app", image("new"), "v2")

    found = current(await look(world))

    assert found["hub.test/app:v1"].first_seen == began
    assert found["hub.test/app:v2"].first_seen == world.clock.now()
    assert found["hub.test/app:v1"].immutable


async def test_what_a_lock_file_says_already_makes_no_difference(world: World) -> None:
    new = await world.put("hub/app", image("new"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    world.locked("app", "hub/app:v1", image("old").digest, hold=True)
    world.binding = Binding.ALL
    assert str(entries(await look(world))["hub.test/app:v1"].digest) == new.digest


async def test_mirrors_of_a_chain_are_locked_against_what_those_before_will_have_brought(
    world: World,
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("b-prod", "dev/app", ["prod/app"])
    world.mirror("a-dev", "hub/app", ["dev/app"])

    found = entries(await look(world))

    assert {name: str(one.digest) for name, one in found.items()} == {
        "hub.test/app:v1": app.digest,
        "dev.test/app:v1": app.digest,
    }
