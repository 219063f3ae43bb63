"""`regsync schema`: the JSON Schema of the spec."""

import click


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of the spec, for completion and checks in editors.

    Write it to a file and name that in the first line of a spec:
    `# yaml-language-server: $schema=regsync.schema.json`.
    """
    from regsync.cli import streams
    from regsync.spec.schema import schema_text

    streams.answer([schema_text()])
    return 0
