"""The spec language: YAML to frozen models, tag selection, JSON Schema, import from other tools."""
