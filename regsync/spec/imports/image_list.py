"""A plain list: one image a line, `#` for comments, as release lists are published."""

from regsync.spec.images import image_lines
from regsync.spec.imports.draft import Draft
from regsync.spec.imports.foreign import wrong
from regsync.spec.model import Position


def read(raw: bytes, name: str, draft: Draft) -> None:
    """Every line that is an image; raises InvalidSpecError when the file is no text."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise wrong(Position(name, 1, 1), f"not UTF-8 at byte {cause.start}") from cause
    images = [line for _, line in image_lines(text)]
    if not images:
        raise wrong(Position(name, 1, 1), "there is no image in this list")
    draft.images(images, {})
