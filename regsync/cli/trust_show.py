"""`regsync trust show`: whom trust roots believe, and until when."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import output_option, spec_option
from regsync.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from regsync.spec.verification import TrustRoot
    from regsync.trust.believed import Believed


class FileAndSpecError(UsageError):
    """Both a trusted root and a spec are given."""

    def __init__(self) -> None:
        super().__init__("give either FILE or --spec: the roots of which are to be shown")


@click.command("show")
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@spec_option("Show every TrustRoot that is declared there.")
@output_option(("text", "json"))
def command(file: Path | None, paths: tuple[Path, ...], output: str) -> int:
    """Show the logs, authorities and certificates of trust roots: validity, keys, what has expired.

    FILE is a trusted_root.json. Without it and --spec it is the public-good root that came with regsync.
    What has expired stays good for what was signed in its time.
    """
    from regsync.cli import streams
    from regsync.clock import SystemClock
    from regsync.plan.document import API_VERSION, encode

    if file is not None and paths:
        raise FileAndSpecError
    roots, now = _declared(paths) if paths else _one(file), SystemClock().now()
    if output == "json":
        entries = [_document(name, one, now) for name, found in roots.items() for one in found]
        streams.answer(encode({"apiVersion": API_VERSION, "kind": "TrustRoots", "believed": entries}))
    else:
        streams.answer(_text(roots, now))
    return 0


def line(one: "Believed") -> str:
    """One log or authority, on one line."""
    from regsync.report.escape import message

    until = "for ever" if one.end is None else f"to {one.end.date().isoformat()}"
    span = f"{one.start.date().isoformat()} {until}"
    return f"{one.kind} {message(one.name, 200)} ({message(one.detail, 200)}), {span}, key {one.key[:16]}"


def _one(file: Path | None) -> "Mapping[str, tuple[Believed, ...]]":
    from regsync.cli.input_files import read_input
    from regsync.trust.believed import of_sigstore
    from regsync.trust.trusted_root import MAX_SIZE, TrustedRoot, public_good

    if file is None:
        return {"public-good": of_sigstore(TrustedRoot.parse(public_good()))}
    return {str(file): of_sigstore(TrustedRoot.parse(read_input(file, MAX_SIZE)))}


def _declared(paths: tuple[Path, ...]) -> "Mapping[str, tuple[Believed, ...]]":
    from regsync.cli.policies import understood
    from regsync.spec.load import load

    spec = load(paths)
    understood(spec)
    return {name: _of(root) for name, root in sorted(spec.trust_roots.items())}


def _of(declared: "TrustRoot") -> "tuple[Believed, ...]":
    from regsync.spec.verification import NotationRoot
    from regsync.trust.believed import of_notation, of_sigstore
    from regsync.trust.trusted_root import TrustedRoot, public_good

    root = declared.root
    if isinstance(root, NotationRoot):
        return of_notation(root)
    return of_sigstore(
        TrustedRoot.parse(public_good() if root.trusted_root is None else root.trusted_root.data)
    )


def _document(root: str, one: "Believed", now: "datetime") -> dict[str, object]:
    from regsync.plan.document import timestamp

    return {
        "root": root,
        "kind": one.kind,
        "name": one.name,
        "key": one.key,
        "detail": one.detail,
        "start": timestamp(one.start),
        "end": timestamp(one.end) if one.end is not None else None,
        "state": one.state(now),
    }


def _text(roots: "Mapping[str, tuple[Believed, ...]]", now: "datetime") -> Iterator[str]:
    from regsync.report.escape import visible

    for name, found in roots.items():
        yield f"{visible(name)}\n"
        for one in found:
            state = one.state(now)
            yield f"  {line(one)}{'' if state == 'valid' else f': {state}'}\n"
    if not roots:
        yield "No TrustRoot is declared: policies believe the public-good root that came with regsync.\n"
