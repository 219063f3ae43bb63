"""regsync keeps container images consistent across registries, from YAML in git."""

__version__ = "0.1.0"
