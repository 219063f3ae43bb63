"""What a plan says of its base revision, as JSON."""

from regsync.plan.fields import Fields
from regsync.plan.model import Base, Left, Unguarded

MAX_ENTRIES = 1_000_000


def base_to_json(base: Base) -> dict[str, object]:
    """The base under its published names."""
    return {
        "revision": base.revision,
        "commit": base.commit,
        "specDigest": str(base.spec_digest) if base.spec_digest is not None else None,
        "anyway": base.anyway,
        "left": [
            {"mirror": one.mirror, "target": str(one.target), "tags": list(one.tags), "count": one.count}
            for one in base.left
        ],
        "unguarded": [
            {
                "mirror": one.mirror,
                "target": str(one.target),
                "policies": list(one.policies),
                "remaining": list(one.remaining),
            }
            for one in base.unguarded
        ],
    }


def base_from(fields: Fields) -> Base:
    """What `base_to_json` wrote; raises InvalidFieldError."""
    base = Base(
        fields.text("revision"),
        fields.text("commit"),
        fields.optional_digest("specDigest"),
        fields.count("anyway"),
        tuple(_left(child) for child in fields.children("left", MAX_ENTRIES)),
        tuple(_unguarded(child) for child in fields.children("unguarded", MAX_ENTRIES)),
    )
    fields.done()
    return base


def _left(fields: Fields) -> Left:
    left = Left(fields.text("mirror"), fields.location("target"), fields.texts("tags"), fields.count("count"))
    fields.done()
    return left


def _unguarded(fields: Fields) -> Unguarded:
    mirror, target = fields.text("mirror"), fields.location("target")
    unguarded = Unguarded(mirror, target, fields.texts("policies"), fields.texts("remaining"))
    fields.done()
    return unguarded
