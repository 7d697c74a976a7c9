import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from servers.hostile import full

from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.failures import RequestError, RequestFailure
from pipeline.pages.politeness import user_agent

LOOPBACK = AddressPolicy.of(["127.0.0.1/32"])


@contextmanager
def tls_server(certificate: trustme.LeafCert) -> Iterator[str]:
    """URL of a server that answers one connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as tls:
                        tls.recv(10_000)
                        tls.sendall(full("Connection: close"))
                except (ssl.SSLError, OSError):
                    return  # the client has refused the certificate

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


def test_certificates_and_host_names_are_verified(tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Client("webtext/test", LOOPBACK, RequestLimits(10.0), ca_bundle=str(tmp_path / "ca.pem")) as client:
        with tls_server(ours.issue_cert("127.0.0.1")) as url:
            assert client.get(url).status == 200
        for certificate in (ours.issue_cert("a.example"), other.issue_cert("127.0.0.1")):
            with tls_server(certificate) as url, pytest.raises(RequestError) as refused:
                client.get(url)
            assert refused.value.failure is RequestFailure.TLS


def test_literal_addresses_are_checked_behind_a_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        with Client(
            "webtext/test", AddressPolicy(), RequestLimits(2.0), proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}"
        ) as client:
            for url in ("http://10.0.0.1/", "http://[::1]/", "https://2130706433/"):
                with pytest.raises(RequestError) as refused:
                    client.get(url)
                assert refused.value.failure is RequestFailure.FORBIDDEN_ADDRESS
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_user_agent_names_product_and_contact() -> None:
    assert user_agent("https://example.com/crawl").startswith("webtext/")
    assert user_agent("https://example.com/crawl").endswith(" (https://example.com/crawl)")
    assert "(" not in user_agent("")
