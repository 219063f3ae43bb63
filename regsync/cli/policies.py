"""The policies of a spec, understood before anything is asked of a registry."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regsync.spec.model import Spec

if TYPE_CHECKING:
    from regsync.trust.policy import CompiledPolicy


def understood(spec: Spec) -> "Mapping[str, CompiledPolicy]":
    """Every policy by name, its keys, roots and expressions read.

    Raises InvalidSpecError with every problem. A spec without policies costs no import.
    """
    if not spec.policies and not spec.trust_roots:
        return {}
    from regsync.trust.policy import compile_policies

    return compile_policies(spec.policies, spec.trust_roots)
