"""A private certificate authority and what it issued, as files."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """PEM files: the CA, a server's certificate for 127.0.0.1 and localhost, a client's."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


def issue(directory: Path, *, client_name: str = "ci@example.test") -> Certificates:
    """Make an authority of its own in `directory`; two calls trust nothing of each other."""
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    client = authority.issue_cert(client_name)
    paths = Certificates(
        *(directory / name for name in ("ca.pem", "server.pem", "server.key", "client.pem", "client.key"))
    )
    authority.cert_pem.write_to_path(paths.ca)
    server.private_key_pem.write_to_path(paths.server_key)
    client.private_key_pem.write_to_path(paths.client_key)
    paths.server_cert.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    paths.client_cert.write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
    return paths
