"""Sizes on the command line, written as in the spec: `64KiB 20MiB 1GB`."""

import click


def size(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """A click callback; what is no size, or none at all, is a misuse of the command line."""
    if value is None:
        return None
    from regsync.spec.scalars import size as read  # brings YAML, which printing help does not need

    try:
        found = read(value)
    except ValueError:
        found = 0
    if found <= 0:
        raise click.BadParameter(f"{value[:40]!r}: expected a size such as 512KiB, 50MiB or 1GB")
    return found
