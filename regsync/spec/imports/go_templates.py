"""What can be read of Go templates in regclient's files: secrets, and the source in a target."""

import re

_CALL = re.compile(r"\s*\{\{-?\s*(env|file)\s+[\"'`]([^\"'`]+)[\"'`]\s*-?\}\}\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCE = re.compile(r"\{\{-?\s*\.Sync\.Source\s*-?\}\}")


def has_template(text: str) -> bool:
    """Whether there is anything left for a template engine."""
    return "{{" in text


def secret(text: str | None) -> dict[str, str] | None:
    """`{{env "X"}}` and `{{file "X"}}` as a secret of ours; None for everything else."""
    found = _CALL.fullmatch(text) if text is not None else None
    if found is not None and found[1] == "env" and _NAME.fullmatch(found[2]) is None:
        return None
    return {found[1]: found[2]} if found is not None else None


def expand_source(target: str, source: str) -> str:
    """`{{ .Sync.Source }}` in a target, filled in."""
    return _SOURCE.sub(lambda _: source, target)
