"""An image with all that refers to it, as text and as JSON."""

import json

from jsonschema import Draft202012Validator

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.inspection import Attached, Inspection, Part, Referrer
from regsync.oci.media_type import OCI_INDEX, OCI_MANIFEST
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.report.inspection import as_json, as_text
from regsync.report.schemas import inspection_schema


def described(name: str, artifact_type: str | None = None, media_type: str = OCI_MANIFEST) -> Descriptor:
    return Descriptor(media_type, Digest.of(name.encode()), 500, artifact_type=artifact_type)


def referrer(name: str, *referrers: Referrer, tags: tuple[Tag, ...] = ()) -> Referrer:
    return Referrer(described(name, f"type/{name}"), Attached(referrers, tags))


SBOM = referrer("sbom", referrer("signature", referrer("of-it")), tags=(Tag("sha256-abc.sig"),))
FOUND = Inspection(
    reference="hub/app:v1",
    descriptor=described("app", media_type=OCI_INDEX),
    kind="index",
    size=4000,
    parts=(
        Part(
            described("amd64"),
            Platform.parse("linux/amd64"),
            2,
            1000,
            attached=Attached((SBOM, referrer("b"))),
        ),
        Part(described("nested", media_type=OCI_INDEX), None, 0, 200),
    ),
    missing=(described("gone"),),
    attached=Attached((referrer("whole"),)),
    unasked=2,
)


def digest(name: str) -> str:
    return str(Digest.of(name.encode()))


def test_what_refers_to_a_manifest_stands_below_it_as_a_tree() -> None:
    lines = [line.rstrip() for line in "".join(as_text(FOUND)).splitlines()]
    begin = lines.index("  platforms") + 1
    assert lines[begin : begin + 7] == [
        f"    linux/amd64       {digest('amd64')}      1000 B  2 layers",
        f"    ├─ {digest('sbom')}       500 B  type/sbom",
        f"    │  ├─ {digest('signature')}       500 B  type/signature",
        f"    │  │  └─ {digest('of-it')}       500 B  type/of-it",
        "    │  └─ tag sha256-abc.sig",
        f"    └─ {digest('b')}       500 B  type/b",
        f"    index             {digest('nested')}       200 B",
    ]
    assert lines[-3:] == [
        "  referrers",
        f"    └─ {digest('whole')}       500 B  type/whole",
        "  not asked for referrers: 2 manifests, too many or too deep",
    ]


def test_the_document_fits_its_schema_and_has_the_tree() -> None:
    document = json.loads("".join(as_json(FOUND)))
    Draft202012Validator.check_schema(inspection_schema())
    Draft202012Validator(inspection_schema()).validate(document)
    (sbom, _) = document["manifests"][0]["referrers"]
    assert sbom["digestTags"] == ["sha256-abc.sig"]
    assert [one["artifactType"] for one in sbom["referrers"][0]["referrers"]] == ["type/of-it"]
    assert document["unasked"] == 2
