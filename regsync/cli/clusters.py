"""Kubernetes clusters that `inUse` names: from a context of the kubeconfig, or the cluster that we run in."""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from regsync.oci.digest import InvalidDigestError
from regsync.oci.reference import InvalidReferenceError
from regsync.regular_file import read_regular
from regsync.remote.kubernetes import Cluster, PodImage
from regsync.remote.tls import TlsMaterial
from regsync.remote.transport import NativeTransport
from regsync.spec.in_use import RunningImage
from regsync.spec.kubeconfig import ClusterAccess, KubeconfigError, Material, read_access

IN_CLUSTER = "in-cluster"  # the context that stands for the service account of our own pod
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_FILE = 4 * 1024 * 1024  # bytes


async def running_images(
    context: str,
    *,
    account: Path = SERVICE_ACCOUNT,
    pause: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> Sequence[RunningImage]:
    """What all pods of a cluster run. Raises KubeconfigError, ClusterError, RegistryError.

    `account` is where a pod finds its service account; `pause` waits for seconds between tries.
    """
    access = await run_sync(_access, context, account)
    identity = None
    if access.certificate is not None and access.key is not None:
        identity = b"\n".join((_pem(access.key), _pem(access.certificate)))
    authority = _pem(access.authority) if access.authority is not None else None
    transport = NativeTransport(TlsMaterial(authority, identity))
    name = f"kubernetes:{context}"
    try:
        found = await Cluster(name, access.server, transport, lambda: _token(access), pause).images()
    finally:
        with anyio.CancelScope(shield=True):
            await transport.close()
    return tuple(_parsed(found, name))


def _parsed(found: frozenset[PodImage], name: str) -> Iterator[RunningImage]:
    for one in sorted(found, key=lambda one: (one.text, one.pod)):
        # A pod with a reference that is none cannot have started from it.
        with suppress(InvalidReferenceError, InvalidDigestError):
            yield RunningImage.parse(one.text, f"{name}, pod {one.pod}")


def _access(context: str, account: Path) -> ClusterAccess:
    if context == IN_CLUSTER:
        return _own(account)
    text = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    paths = [Path(one).absolute() for one in text.split(os.pathsep) if one]
    files = [(path, _read(path)) for path in paths if len(paths) == 1 or path.exists()]
    return read_access(files, context)


def _own(account: Path) -> ClusterAccess:
    """Source: Kubernetes documentation, "Accessing the Kubernetes API from a Pod"."""
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}") for part in ("HOST", "PORT"))
    token = account / "token"
    if not host or not token.is_file():
        raise KubeconfigError(token, f"{IN_CLUSTER}: this process runs in no pod with a service account")
    shown = f"[{host}]" if ":" in host else host
    return ClusterAccess(
        f"https://{shown}:{port or 443}", authority=Material(path=account / "ca.crt"), token_file=token
    )


def _token(access: ClusterAccess) -> str | None:
    if access.token_file is None:
        return access.token
    token = _read(access.token_file).decode("ascii", "replace").strip()
    if not token.isprintable() or not token:
        raise KubeconfigError(access.token_file, "there is no token in it")
    return token


def _pem(material: Material) -> bytes:
    return material.data if material.data is not None else _read(material.path or Path())


def _read(path: Path) -> bytes:
    try:
        raw = read_regular(path, MAX_FILE + 1)
    except OSError as cause:
        raise KubeconfigError(path, cause.strerror or "cannot be read") from cause
    if len(raw) > MAX_FILE:
        raise KubeconfigError(path, f"longer than {MAX_FILE} bytes")
    return raw
