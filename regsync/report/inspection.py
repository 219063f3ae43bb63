"""An inspection as text and as JSON."""

from collections.abc import Iterator, Mapping

from regsync.oci.descriptor import Descriptor
from regsync.oci.inspection import Attached, Inspection, Part, Referrer
from regsync.plan.document import API_VERSION, encode
from regsync.report.escape import message, visible
from regsync.report.style import BOLD, PLAIN, RED, Style
from regsync.report.units import counted, human_bytes


def as_text(found: Inspection, style: Style = PLAIN) -> Iterator[str]:
    """Lines for people."""
    yield f"{style.paint(visible(found.reference), BOLD)}\n"
    yield from _facts(
        ("digest", str(found.descriptor.digest)),
        ("kind", f"{found.kind} ({visible(found.descriptor.media_type)})"),
        ("artifact type", message(found.artifact_type or "")),
        ("size", f"{human_bytes(found.size)} ({found.size} distinct bytes)"),
        ("created", message(found.created or "")),
        ("subject", str(found.subject or "")),
    )
    title = "platforms" if found.kind == "index" else "manifest"
    yield from _section(title, [line for part in found.parts for line in _part(part)])
    absent = [f"{_platform(one)}  {one.digest}" for one in found.missing]
    yield from _section(style.paint("not there", RED), absent)
    yield from _section("annotations", _pairs(found.annotations))
    yield from _section("labels", _pairs(found.labels))
    yield from _section("referrers", list(_tree(found.attached)))
    if found.unasked:
        yield f"  not asked for referrers: {counted(found.unasked, 'manifest')}, too many or too deep\n"


def as_json(found: Inspection) -> Iterator[str]:
    """The document; sizes in bytes."""
    return encode(
        {
            "apiVersion": API_VERSION,
            "kind": "Inspection",
            "reference": found.reference,
            "digest": str(found.descriptor.digest),
            "mediaType": found.descriptor.media_type,
            "type": found.kind,
            "artifactType": found.artifact_type,
            "size": found.size,
            "created": found.created,
            "subject": str(found.subject) if found.subject is not None else None,
            "manifests": [_part_document(part) for part in found.parts],
            "missing": [{"digest": str(one.digest), "platform": _platform(one)} for one in found.missing],
            "annotations": dict(found.annotations),
            "labels": dict(found.labels),
            **_attached_document(found.attached),
            "unasked": found.unasked,
        }
    )


def _facts(*facts: tuple[str, str]) -> Iterator[str]:
    for name, value in facts:
        if value:
            yield f"  {name:<14}{value}\n"


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"  {title}\n"
        yield from (f"    {line}\n" for line in lines)


def _part(part: Part) -> Iterator[str]:
    kind = "index" if part.descriptor.is_index else part.artifact_type or "-"
    platform = str(part.platform) if part.platform is not None else kind
    layers = "" if part.descriptor.is_index else f"  {counted(part.layers, 'layer')}"
    yield f"{message(platform):<16}  {part.descriptor.digest}  {human_bytes(part.size):>10}{layers}"
    yield from _tree(part.attached)


def _tree(attached: Attached, indent: str = "") -> Iterator[str]:
    entries = [(_referrer(one.descriptor), one.attached) for one in attached.referrers]
    entries += [(f"tag {visible(tag)}", Attached()) for tag in attached.digest_tags]
    for number, (line, below) in enumerate(entries, start=1):
        branch, rail = ("├─ ", "│  ") if number < len(entries) else ("└─ ", "   ")
        yield f"{indent}{branch}{line}"
        yield from _tree(below, indent + rail)


def _platform(desc: Descriptor) -> str:
    return visible(str(desc.platform)) if desc.platform is not None else "-"


def _pairs(pairs: Mapping[str, str]) -> list[str]:
    return [f"{message(key)}: {message(value)}" for key, value in sorted(pairs.items())]


def _referrer(desc: Descriptor) -> str:
    return f"{desc.digest}  {human_bytes(desc.size):>10}  {message(desc.artifact_type or desc.media_type)}"


def _part_document(part: Part) -> dict[str, object]:
    return {
        "digest": str(part.descriptor.digest),
        "mediaType": part.descriptor.media_type,
        "platform": str(part.platform) if part.platform is not None else None,
        "artifactType": part.artifact_type,
        "layers": part.layers,
        "size": part.size,
        **_attached_document(part.attached),
    }


def _attached_document(attached: Attached) -> dict[str, object]:
    return {
        "referrers": [_referrer_document(one) for one in attached.referrers],
        "digestTags": list(attached.digest_tags),
    }


def _referrer_document(referrer: Referrer) -> dict[str, object]:
    desc = referrer.descriptor
    return {
        "digest": str(desc.digest),
        "mediaType": desc.media_type,
        "artifactType": desc.artifact_type,
        "size": desc.size,
        "annotations": dict(desc.annotations),
        **_attached_document(referrer.attached),
    }
