"""index.json as a value: what is read is written back, and nothing in it can surprise."""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from regsync.content.errors import ContentNotFoundError
from regsync.content.layout_files import InvalidLayoutError
from regsync.content.layout_index import AmbiguousTagError, LayoutIndex
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCI_INDEX, OCI_MANIFEST
from regsync.oci.reference import Tag

DIGESTS = [Digest.of(bytes([number])) for number in range(4)]
TAGS = ["v1", "v2", "latest"]
NAMES = [*TAGS, "docker.io/library/app:v1", "app:v2", "not a name", "", "app@" + str(DIGESTS[0])]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.sampled_from([OCI_MANIFEST, OCI_INDEX, "text/plain"]) | anything,
        "digest": st.sampled_from([str(digest) for digest in DIGESTS]) | anything,
        "size": st.integers(0, 3) | anything,
        "annotations": st.fixed_dictionaries({"org.opencontainers.image.ref.name": st.sampled_from(NAMES)})
        | anything,
        "platform": anything,
    },
)
documents = st.fixed_dictionaries(
    {"schemaVersion": st.just(2)},
    optional={"manifests": st.lists(entries, max_size=5) | anything, "extra": anything},
)
descriptors = st.builds(
    Descriptor, st.sampled_from([OCI_MANIFEST, OCI_INDEX]), st.sampled_from(DIGESTS), st.integers(0, 3)
)


def parsed(document: Any) -> LayoutIndex | None:
    try:
        return LayoutIndex.parse(json.dumps(document).encode(), where="here")
    except InvalidLayoutError:
        return None


@given(documents | anything)
def test_whatever_stands_there_is_read_or_refused_and_written_back_as_it_was(document: Any) -> None:
    index = parsed(document)
    if index is not None:
        written = json.loads(index.encode())
        assert written.pop("manifests") == (document.get("manifests") or [])
        assert written == {key: value for key, value in document.items() if key != "manifests"}
        for tag in TAGS:
            with contextlib.suppress(ContentNotFoundError, AmbiguousTagError):
                assert index.tagged(Tag(tag), where="here").digest in DIGESTS


@given(documents, descriptors, st.sampled_from(TAGS))
def test_a_tag_that_was_put_is_the_only_one_of_its_name_and_loses_no_content(
    document: Any, desc: Descriptor, tag: str
) -> None:
    index = parsed(document)
    if index is None:
        return
    changed = index.with_tag(desc, Tag(tag))
    assert changed.tagged(Tag(tag), where="here") == desc
    assert len(changed.by_tag[Tag(tag)]) == 1
    assert set(changed.by_digest) == {*index.by_digest, desc.digest}
    for other in set(index.by_tag) - {tag}:
        assert {one.desc for one in changed.by_tag[other]} == {one.desc for one in index.by_tag[other]}
    removed = changed.without_tag(Tag(tag))
    assert Tag(tag) not in removed.by_tag
    assert set(removed.by_digest) == set(changed.by_digest)
    assert LayoutIndex.parse(changed.encode(), where="here") == changed
