"""`creds` of regclient's regsync as registries."""

from typing import Any

from regsync.oci.reference import InvalidReferenceError, parse_host
from regsync.spec.imports import foreign
from regsync.spec.imports.draft import Draft
from regsync.spec.imports.go_templates import secret
from regsync.spec.scalars import number

CARRIED = frozenset(
    {"registry", "tls", "user", "pass", "reqPerSec", "reqConcurrent", "hostname", "regcert", "clientCert",
     "clientKey", "credHelper", "repoAuth"}
)  # fmt: skip
_LIMITS = (("requestsPerSecond", "reqPerSec", 0.01, 100_000), ("concurrency", "reqConcurrent", 1, 1024))


def read(creds: list[dict[str, Any]], draft: Draft) -> None:
    """Declare a registry for each entry that says more than that it exists."""
    for entry in creds:
        written = foreign.text(entry, "registry") or ""
        try:
            host = parse_host(written)
        except InvalidReferenceError as cause:
            draft.note(f"creds: left out: {cause}")
            continue
        spec = _registry(host, entry, draft)
        if len(spec) > 1 or str(spec["url"]).startswith("http://"):
            draft.registry(host, spec)


def _registry(host: str, entry: dict[str, Any], draft: Draft) -> dict[str, Any]:
    where = f"creds ({host})"
    spec: dict[str, Any] = {"url": host}
    match foreign.text(entry, "tls"):
        case "disabled":
            spec["url"] = f"http://{host}"
        case "insecure":
            draft.note(f"{where}: tls: insecure; name its certificate authority under tls.ca")
    if entry.get("hostname") and foreign.text(entry, "hostname") != host:
        draft.note(f"{where}: hostname; a registry is called by the name in its references")
    auth = _auth(host, entry, where, draft)
    if auth:
        spec["auth"] = auth
    limits = _limits(entry, where, draft)
    if limits:
        spec["limits"] = limits
    for key in ("regcert", "clientCert", "clientKey"):
        if entry.get(key):
            draft.note(f"{where}: {key} holds PEM text; write it to a file and name it under tls")
    if entry.get("credHelper"):
        draft.note(f"{where}: credHelper; regsync reads credHelpers of the container tools' own files")
    for key in entry.keys() - CARRIED:
        draft.note(f"{where}: {key}")
    return spec


def _auth(host: str, entry: dict[str, Any], where: str, draft: Draft) -> dict[str, Any]:
    """Where user and password are; what stands in the file itself is not copied out of it."""
    if not entry.get("user") and not entry.get("pass"):
        return {}
    auth: dict[str, Any] = {}
    missing = []
    for ours, theirs in (("username", "user"), ("password", "pass")):
        name = f"{''.join(c if c.isalnum() else '_' for c in host.upper())}_{ours.upper()}"
        found = secret(foreign.text(entry, theirs))
        if found is None:
            missing.append(name)
        auth[ours] = found or {"env": name}
    if missing:
        draft.note(f"{where}: credentials that stand in the file itself; set {' and '.join(missing)}")
    return auth


def _limits(entry: dict[str, Any], where: str, draft: Draft) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for ours, theirs, low, high in _LIMITS:
        if theirs not in entry:
            continue
        try:
            value = number(entry[theirs])
        except ValueError as cause:
            draft.note(f"{where}: {theirs}: {cause}")
            continue
        if low <= value <= high:
            limits[ours] = int(value) if value == int(value) else value
        elif value:  # 0 is regclient's default
            draft.note(f"{where}: {theirs} {value:g} is not between {low:g} and {high:g}")
    return limits
