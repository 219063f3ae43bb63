"""Selection on its way through a run: names, renaming, several mirrors, many tags."""

import tracemalloc
from datetime import timedelta

import pytest

from regsync.oci.digest import Digest
from regsync.plan.model import Cause, Outcome, exit_code, problems_of
from regsync.reconcile.run import Explain
from regsync.spec.model import ReferrersMode, ReferrersPolicy, SemverMatch, TagRule
from tests.reconcile.world import World
from tests.support.images import image

pytestmark = pytest.mark.anyio

NO_EVIDENCE = ReferrersPolicy(ReferrersMode.NONE)


@pytest.fixture
def world() -> World:
    return World()


async def test_the_newest_versions_are_kept_and_the_rest_stays_behind(world: World) -> None:
    for number in range(1, 6):
        await world.put("hub/app", image(f"{number}"), f"1.{number}.0")
    rule = TagRule(semver=SemverMatch(">=1"), newest=2)
    world.mirror("app", "hub/app", ["ours/app"], rules=[rule])

    await world.sync()

    assert sorted(world.repository("ours/app")._tags) == ["1.4.0", "1.5.0"]


async def test_labels_and_age_are_read_from_images_and_only_where_a_rule_asks(world: World) -> None:
    await world.put("hub/app", image("a", labels={"team": "web"}), "a")
    await world.put("hub/app", image("b", labels={"team": "db"}), "b")
    await world.put("hub/app", image("c", labels={"team": "web"}, created="2025-12-31T00:00:00Z"), "c")
    rule = TagRule(glob="*", labels={"team": "w*"}, max_age=timedelta(days=7))
    world.mirror("app", "hub/app", ["ours/app"], rules=[rule])

    await world.sync()

    assert sorted(world.repository("ours/app")._tags) == ["c"]


async def test_a_renamed_tag_is_immutable_under_its_new_name(world: World) -> None:
    old = await world.put("hub/app", image("old"), "1.2.3")
    world.mirror(
        "app", "hub/app", ["ours/app"], rename="v{major}-{tag}", immutable=("v*",), referrers=NO_EVIDENCE
    )
    await world.sync()
    await world.put("hub/app", image("new"), "1.2.3")

    report = await world.sync()

    assert report.summary.unchanged == 1
    assert await world.tag("ours/app", "v1-1.2.3") == old.digest
    assert (await world.plan()).actions == ()


async def test_a_renamed_tag_goes_through_a_plan(world: World) -> None:
    app = await world.put("hub/app", image("app"), "1.2.3")
    world.mirror("app", "hub/app", ["ours/app"], rename="{tag}-{digest:12}")

    report = await world.apply(await world.plan())

    assert report.summary.create == 1
    assert await world.tag("ours/app", f"1.2.3-{app.digest[7:19]}") == app.digest


async def test_two_tags_with_one_new_name_are_an_error_and_nothing_is_copied(world: World) -> None:
    for tag in ("1.2.3", "1.2.4"):
        await world.put("hub/app", image(tag), tag)
    world.mirror("app", "hub/app", ["ours/app"], rename="{major}.{minor}")

    report = await world.sync()

    assert exit_code(problems_of(report.results)) == Cause.ERROR
    assert not world.repository("ours/app")._tags


async def test_several_mirrors_may_fill_one_target(world: World) -> None:
    one = await world.put("hub/one", image("one"), "v1")
    two = await world.put("hub/two", image("two"), "v2")
    world.mirror("one", "hub/one", ["ours/all"])
    world.mirror("two", "hub/two", ["ours/all"])

    report = await world.sync()

    assert report.summary.create == 2
    assert await world.tag("ours/all", "v1") == one.digest
    assert await world.tag("ours/all", "v2") == two.digest
    assert (await world.sync()).summary.unchanged == 2


async def test_one_source_for_two_mirrors_is_listed_once(world: World) -> None:
    await world.put("hub/app", image("app"), "v1", "v2")
    world.mirror("one", "hub/app", ["ours/one"], tags=["v1*"])
    world.mirror("two", "hub/app", ["ours/two"], tags=["v*"])

    await world.sync()

    assert world.repository("hub/app").count("tags") == 1
    fetched = [name for call, name in world.repository("hub/app").calls if call == "fetch"]
    assert len(fetched) == len(set(fetched))


async def test_the_same_mirror_twice_does_no_harm(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("one", "hub/app", ["ours/app"])
    world.mirror("two", "hub/app", ["ours/app"])

    report = await world.sync()

    assert [one.outcome for one in report.results] == [Outcome.DONE] * 2
    assert await world.tag("ours/app", "v1") == app.digest
    assert (await world.sync()).summary.unchanged == 2


async def test_pinned_digests_come_beside_rules(world: World) -> None:
    await world.put("hub/app", image("tagged"), "v1")
    alone = await world.put("hub/app", image("alone"))
    rules = (TagRule(glob="*"),)
    world.mirror("app", "hub/app", ["ours/app"], digests=(Digest.parse(alone.digest),), own_rules=rules)

    report = await world.sync()

    assert report.summary.create == 2
    assert Digest.parse(alone.digest) in world.repository("ours/app")._manifests
    assert (await world.sync()).summary.unchanged == 2


async def test_a_plan_explains_each_tag(world: World) -> None:
    await world.put("hub/app", image("app"), "v1", "dev")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v*"])

    planned = await world.plan(Explain.YES)

    assert {one.tag: one.kept for one in planned.explanations} == {"v1": True, "dev": False}


async def test_thousands_of_tags_with_nothing_to_do_take_little_memory(world: World) -> None:
    count = 3000
    app = await world.put("hub/app", image("app"), *(f"v{number}" for number in range(count)))
    await world.put("ours/app", app, *(f"v{number}" for number in range(count)))
    world.mirror("app", "hub/app", ["ours/app"], referrers=NO_EVIDENCE)
    await world.sync()
    world.forget_calls()
    tracemalloc.start()

    report = await world.sync()

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = sum(len(world.repository(one).calls) for one in ("hub/app", "ours/app"))
    assert report.summary.unchanged == count
    assert counted == 2 * count + 2
    # The counts of this world are a tuple and a name each: about 150 bytes, on both sides.
    assert peak < 2_000_000 + count * (1024 + 2 * 200)
