"""TLS: a private authority, client certificates, and what is said when they do not fit."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from regsync.remote.errors import RegistryError, TlsError
from regsync.remote.tls import TlsFiles
from regsync.remote.transport import NativeTransport, Transports
from tests.remote.sessions import ping, session_at
from tests.support.certificates import Certificates, issue

pytestmark = pytest.mark.anyio


class Server:
    """An HTTPS server that answers `{}`."""

    def __init__(self, certificates: Certificates, *, wants_client: bool) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server_cert, certificates.server_key)
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates.ca)

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a refused handshake is what some tests want

            def finish_request(self, request: object, client_address: object) -> None:
                wrapped = context.wrap_socket(request, server_side=True)  # type: ignore[call-overload]
                with wrapped:
                    super().finish_request(wrapped, client_address)  # type: ignore[arg-type]

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"https://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(certificates: Certificates) -> Iterator[Server]:
    made = Server(certificates, wants_client=False)
    yield made
    made.close()


@pytest.fixture
def strict_server(certificates: Certificates) -> Iterator[Server]:
    made = Server(certificates, wants_client=True)
    yield made
    made.close()


async def reach(server: Server, tls: TlsFiles) -> None:
    transport = NativeTransport(tls)
    try:
        async with session_at(server, transport=transport) as session:
            await session.send(ping())
    finally:
        await transport.close()


async def test_a_private_authority_is_trusted_when_named(server: Server, certificates: Certificates) -> None:
    await reach(server, TlsFiles(ca=certificates.ca))


async def test_an_unknown_authority_says_what_to_add(server: Server) -> None:
    with pytest.raises(TlsError, match="UnknownIssuer") as raised:
        await reach(server, TlsFiles())
    assert "add tls.ca" in str(raised.value.hint)


async def test_a_client_certificate_lets_us_in(strict_server: Server, certificates: Certificates) -> None:
    tls = TlsFiles(ca=certificates.ca, cert=certificates.client_cert, key=certificates.client_key)
    await reach(strict_server, tls)


async def test_certificate_and_key_may_be_in_one_file(
    strict_server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certificates.client_cert.read_bytes() + certificates.client_key.read_bytes())
    await reach(strict_server, TlsFiles(ca=certificates.ca, cert=both))


async def test_a_missing_client_certificate_says_what_to_add(
    strict_server: Server, certificates: Certificates
) -> None:
    with pytest.raises(TlsError, match="CertificateRequired") as raised:
        await reach(strict_server, TlsFiles(ca=certificates.ca))
    assert "tls.cert" in str(raised.value.hint)


async def test_a_client_certificate_of_another_authority_is_said_to_be_refused(
    strict_server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    other = issue(tmp_path)
    with pytest.raises(RegistryError) as raised:
        await reach(strict_server, TlsFiles(certificates.ca, other.client_cert, other.client_key))
    assert "PRIVATE KEY" not in str(raised.value)


async def test_plain_http_where_https_is_expected_says_so(fake_registry: object) -> None:
    class Plain:
        host = fake_registry.host  # type: ignore[attr-defined]
        url = f"https://{fake_registry.host}"  # type: ignore[attr-defined]

    with pytest.raises(TlsError) as raised:
        async with session_at(Plain()) as session:
            await session.send(ping())
    assert "http://" in str(raised.value.hint)


def test_files_that_do_not_fit_are_named(certificates: Certificates, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("not a certificate")
    locked = tmp_path / "locked.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----\n")
    cert = certificates.client_cert
    for tls, said in [
        (TlsFiles(ca=tmp_path / "absent.pem"), "absent.pem: No such file"),
        (TlsFiles(ca=junk), "junk.pem: not in PEM form"),
        (TlsFiles(ca=tmp_path), "Is a directory"),
        (TlsFiles(ca=Path("/dev/zero")), "/dev/zero: a pipe, a socket or a device"),
        (TlsFiles(key=certificates.client_key), "no tls.cert"),
        (TlsFiles(cert=cert), "holds no private key"),
        (TlsFiles(cert=cert, key=junk), "junk.pem: not in PEM form"),
        (TlsFiles(cert=cert, key=locked), "locked.pem is encrypted"),
    ]:
        with pytest.raises(TlsError, match=said):
            tls.read()


async def test_pem_that_is_none_inside_is_an_error_with_the_file(
    certificates: Certificates, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    transport = NativeTransport(TlsFiles(ca=junk))
    with pytest.raises(TlsError, match=r"junk\.pem"):
        await transport.start("GET", "https://127.0.0.1:1/", {})


async def test_registries_with_the_same_tls_share_a_transport(certificates: Certificates) -> None:
    transports = Transports()
    plain = transports.for_tls(TlsFiles())
    assert transports.for_tls(TlsFiles()) is plain
    assert transports.for_tls(TlsFiles(ca=certificates.ca)) is not plain
    await transports.close()
