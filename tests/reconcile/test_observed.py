"""One observation, several plans: what was seen is asked for once, written down, and all there is."""

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from regsync.content.errors import ContentNotFoundError, RepositoryNotFoundError
from regsync.errors import DeferredError, DeniedError, RegsyncError, TemporaryError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.absence import Absence
from regsync.plan.document import encode
from regsync.plan.model import Plan, Verb
from regsync.reconcile.observed import ObservedPlaces
from regsync.reconcile.observed_store import NotObservedError
from regsync.reconcile.recorded_ledger import RecordedLedger, UnsparingLedger, keep_facts
from regsync.reconcile.recording import Facts, Recording, SeenRepository
from regsync.reconcile.recording_json import recording_document
from regsync.reconcile.recording_reading import InvalidObservationError, recording_from_json
from regsync.reconcile.run import make_plan
from regsync.report.schemas import observation_schema
from regsync.spec.model import TagRule
from regsync.spec.pruning import PrunePolicy
from regsync.spec.verification import (
    KeyAuthority,
    LogUse,
    Material,
    SignatureRequirement,
    VerificationPolicy,
)
from tests.reconcile.world import World
from tests.support.images import Content, as_json, blob_descriptor, cosign_tag, image, index, referrer
from tests.support.signing_keys import new_key, public_pem
from tests.support.sigstore_evidence import (
    bundle_referrer,
    dsse_bundle,
    layers_manifest,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Signer

pytestmark = pytest.mark.anyio
TAKEN = datetime(2026, 1, 2, tzinfo=UTC)


async def recorded(world: World) -> tuple[Plan, bytes]:
    """A plan, and what was seen for it, written down."""
    recording, spec = Recording(TAKEN), world.spec()
    places, ledger = ObservedPlaces(recording, spec, world), UnsparingLedger(world.ledger)
    engine = world.engine()
    plan = await make_plan(spec, _with(engine, places, ledger))
    keep_facts(recording, places, ledger)
    return plan, "".join(encode(recording_document(recording))).encode()


async def replayed(world: World, raw: bytes) -> tuple[Plan, ObservedPlaces]:
    """A plan of what was written down, for the spec of `world`."""
    recording, spec = recording_from_json(raw, "seen.json"), world.spec()
    places = ObservedPlaces(recording, spec, None)
    world.forget_calls()
    plan = await make_plan(spec, _with(world.engine(), places, RecordedLedger(recording, spec)))
    assert not any(calls(world))
    return plan, places


def _with(engine: Any, places: ObservedPlaces, ledger: Any) -> Any:
    return replace(engine, places=places, ledger=ledger)


def calls(world: World) -> list[tuple[str, str]]:
    return [
        call
        for place in world.places.values()
        for repository in place._repositories.values()
        for call in repository.calls  # type: ignore[attr-defined]
    ]


@pytest.fixture
async def world() -> World:
    world = World()
    signed = image("signed")
    await world.put("hub/app", signed, "v1")
    await world.put("hub/app", referrer(signed, artifact_type="application/vnd.example.sig"))
    await world.put("hub/app", index(image("a"), image("b")), "v2")
    await world.put("edge/app", image("older"), "v2")
    world.mirror("app", "hub/app", ["edge/app", "local/app"], tags=["v*"])
    return world


async def test_a_plan_of_what_was_recorded_is_the_plan_that_was_made(world: World) -> None:
    plan, raw = await recorded(world)
    again, places = await replayed(world, raw)
    assert again.actions == plan.actions
    assert again.bytes == plan.bytes > 0
    assert not places.missing


async def test_observations_follow_their_published_schema_and_are_the_same_bytes(world: World) -> None:
    _, raw = await recorded(world)
    Draft202012Validator(observation_schema()).validate(json.loads(raw))
    assert "".join(encode(recording_document(recording_from_json(raw, "seen.json")))).encode() == raw


async def test_what_a_spec_needs_beyond_it_is_named_and_the_rest_is_planned(world: World) -> None:
    await world.put("hub/other", image("other"), "v1")
    plan, raw = await recorded(world)
    world.mirror("other", "hub/other", ["edge/other"], tags=["v1"])
    again, places = await replayed(world, raw)
    assert [one for one in again.actions if one.mirror == "app"] == list(plan.actions)
    (failed,) = (one for one in again.actions if one.mirror == "other")
    assert failed.problem is not None
    assert "not in the observation" in failed.problem.message
    assert any("edge/other" in one for one in places.missing)


async def test_a_registry_that_an_edited_spec_points_elsewhere_is_not_taken_for_the_one_that_was_seen(
    world: World,
) -> None:
    _, raw = await recorded(world)
    world.hosts["hub"] = "evil"
    again, places = await replayed(world, raw)
    assert all(one.problem is not None for one in again.actions)
    assert places.missing


async def test_a_registry_that_is_only_called_otherwise_is_still_known(world: World) -> None:
    plan, raw = await recorded(world)
    renamed = World(hosts={"centre": "hub"})
    renamed.mirror("app", "centre/app", ["edge/app", "local/app"], tags=["v*"])
    again, _ = await replayed(renamed, raw)
    assert [one.digest for one in again.actions] == [one.digest for one in plan.actions]


async def test_two_plans_ask_for_everything_once(world: World) -> None:
    recording, spec = Recording(TAKEN), world.spec()
    first = await make_plan(spec, _with(world.engine(), ObservedPlaces(recording, spec, world), world.ledger))
    world.forget_calls()
    await world.put("hub/app", image("moved meanwhile"), "v1")
    again = await make_plan(spec, _with(world.engine(), ObservedPlaces(recording, spec, world), world.ledger))
    assert again.actions == first.actions
    assert not calls(world)


def with_environment(content: Content, variable: str) -> Content:
    """The image with an environment variable in its config."""
    document, config = json.loads(content.data), json.loads(content.blobs[0])
    config["config"]["Env"] = [variable]
    raw = as_json(config)
    document["config"] = blob_descriptor(document["config"]["mediaType"], raw)
    return replace(content, data=as_json(document), blobs=(raw, *content.blobs[1:]))


async def test_no_secret_of_an_image_is_written_down(world: World) -> None:
    await world.put("hub/app", with_environment(image("secret", labels={"a": "b"}), "TOKEN=hunter2"), "v3")
    world.mirrors.clear()
    world.mirror("app", "hub/app", ["edge/app"], rules=[TagRule(glob="v*", labels={"a": "*"})])
    plan, raw = await recorded(world)
    whole = raw + b"".join(b64decode(one["data"]) for one in json.loads(raw)["contents"])
    assert b"hunter2" not in whole
    again, _ = await replayed(world, raw)
    assert again.actions == plan.actions
    assert [one.tag for one in plan.actions] == ["v3"]


async def test_errors_are_answers_and_stay_of_their_kind(world: World) -> None:
    world.repository("edge/app").fail("tags", DeniedError("edge/app: denied"))
    world.repository("hub/app").fail("manifest", TemporaryError("hub/app: 503"), when="v2")
    world.unwritable["local/app"] = UnsupportedError("local/app: read-only")
    plan, raw = await recorded(world)
    again, places = await replayed(world, raw)
    assert again.actions == plan.actions
    assert {one.problem.cause for one in again.actions if one.problem} == {
        one.problem.cause for one in plan.actions if one.problem
    }
    assert not places.missing


async def test_signatures_are_verified_again_and_a_refusal_stays_one(world: World) -> None:
    ops = Signer(new_key())
    key = KeyAuthority(Material("ops.pub", public_pem(ops.key)), tlog=LogUse.IGNORE)
    world.policies.append(VerificationPolicy("prod", {"ops": key}, SignatureRequirement("ops")))
    world.mirrors.clear()
    world.mirror("app", "hub/app", ["edge/app", "local/app"], tags=["v*"], verify=("prod",))
    signed = await world.put("hub/app", image("approved"), "v3")
    await world.put("hub/app", bundle_referrer(signed, dsse_bundle(ops, statement(signed.digest))))
    await world.put("hub/app", layers_manifest(signature_layer(ops, signed.digest)), cosign_tag(signed))
    plan, raw = await recorded(world)
    again, places = await replayed(world, raw)
    assert again.actions == plan.actions
    assert not places.missing
    assert {one.tag: one.problem is None for one in again.actions} == {"v1": False, "v2": False, "v3": True}
    assert {one.unmet for found in again.actions for one in found.verdicts} == {(), ("signature by ops",)}


async def test_deletions_are_planned_from_it_too(world: World) -> None:
    world.mirrors.clear()
    world.mirror("app", "hub/app", ["local/app"], tags=["v*"], prune=PrunePolicy())
    await world.sync()
    del world.repository("hub/app")._tags["v2"]  # type: ignore[arg-type]
    await world.sync()
    world.clock.advance(timedelta(days=8))
    plan, raw = await recorded(world)
    again, _ = await replayed(world, raw)
    assert again.actions == plan.actions
    assert again.summary == plan.summary
    assert {one.verb for one in plan.actions} <= {Verb.DELETE}


async def edited(world: World, change: Any) -> bytes:
    _, raw = await recorded(world)
    document = json.loads(raw)
    change(document)
    return json.dumps(document).encode()


def _lie(document: Any) -> None:
    document["contents"][0]["data"] = "bGll"


def _twice(document: Any) -> None:
    document["repositories"].append(document["repositories"][0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(_lie, "is not what sha256:", id="content under another digest"),
        pytest.param(_twice, "there twice", id="a repository twice"),
        pytest.param(lambda d: d.update(kind="Plan"), "kind", id="another kind"),
        pytest.param(lambda d: d.update(more=1), "unknown key", id="an unknown key"),
        pytest.param(lambda d: d.update(taken="yesterday"), "expected a time", id="no time"),
        pytest.param(lambda d: d["contents"][0].update(data="%"), "base64", id="no base64"),
        pytest.param(
            lambda d: d["repositories"][0].update(repository="../x"), "repository", id="a traversal"
        ),
        pytest.param(
            lambda d: d["repositories"][0].update(push={"kind": "odd", "message": ""}), "kind", id="a kind"
        ),
        pytest.param(lambda d: d["repositories"][0].update(deletes=1), "true or false", id="no flag"),
    ],
)
async def test_an_edited_file_is_refused_and_says_where(world: World, change: Any, says: str) -> None:
    with pytest.raises(InvalidObservationError, match=says):
        recording_from_json(await edited(world, change), "seen.json")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"a": 1, "a": 2}', b"\xff", b"[" * 200])
def test_what_is_no_observation_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidObservationError):
        recording_from_json(raw, "seen.json")


@pytest.mark.parametrize(
    "error",
    [
        RepositoryNotFoundError(where="hub/app"),
        ContentNotFoundError("v1", where="hub/app"),
        DeniedError("denied"),
        DeferredError("later"),
        TemporaryError("503"),
        UnsupportedError("never"),
        NotObservedError("a tag", "hub/app"),
    ],
)
def test_an_error_keeps_its_words_its_hint_and_what_follows_from_it(error: RegsyncError) -> None:
    recording = Recording(TAKEN, catalogues={"https://hub.test": error})
    raw = "".join(encode(recording_document(recording))).encode()
    again = recording_from_json(raw, "seen.json").catalogues["https://hub.test"]
    assert isinstance(again, RegsyncError)
    assert (str(again), again.hint) == (str(error), error.hint)
    for kind in (RepositoryNotFoundError, ContentNotFoundError, DeniedError, DeferredError, TemporaryError):
        assert isinstance(again, kind) == isinstance(error, kind)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def whole() -> bytes:
    """An observation with one of everything."""
    digest, tag = Digest.of(b"{}"), Tag("v1")
    desc = Descriptor("application/json", digest, 2, artifact_type="a", annotations={"k": "v"})
    seen = SeenRepository(
        *("hub.test/app", {tag: desc, Tag("v2"): None}, True, True, True, {tag: desc, digest: desc}),
        *({digest: True}, {digest: (desc,)}, {digest: 2}, {digest: {"os": "linux"}}, True),
    )
    key = ("https://hub.test", "app")
    facts = Facts({digest: TAKEN}, {tag: digest}, {tag: key}, {tag: Absence(TAKEN, TAKEN, 2)})
    recording = Recording(
        *(TAKEN, {key: seen}, {key[0]: (RepositoryName("app"),)}, {digest: b"{}"}, True, {key: facts})
    )
    return "".join(encode(recording_document(recording))).encode()


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places_in(one, (*path, key))


@given(data=st.data())
def test_whatever_is_put_into_it_is_read_or_refused(whole: bytes, data: st.DataObject) -> None:
    document = json.loads(whole)
    *path, last = data.draw(st.sampled_from([one for one in places_in(document) if one]))
    holder = document
    for key in path:
        holder = holder[key]
    holder[last] = data.draw(JSON)
    with suppress(InvalidObservationError):
        recording_from_json(json.dumps(document).encode(), "seen.json")


def test_labels_as_long_as_people_write_them_are_kept() -> None:
    key = ("https://hub.test", "app")
    config = {"config": {"Labels": {"readme": "x" * 100_000}}}
    recording = Recording(TAKEN, {key: SeenRepository(configs={Digest.of(b""): config})})
    raw = "".join(encode(recording_document(recording))).encode()
    assert recording_from_json(raw, "seen.json").repositories[key].configs == {Digest.of(b""): config}
