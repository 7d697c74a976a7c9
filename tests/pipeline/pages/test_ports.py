import pytest

from pipeline.pages.addresses import AddressPolicy, ForbiddenAddressError
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.failures import RequestError, RequestFailure
from pipeline.pages.ports import vet_port


@pytest.mark.parametrize("port", [0, 1, 22, 25, 110, 143, 465, 587, 2049, 6000, 6667, 10080])
def test_ports_of_other_protocols_are_refused(port: int) -> None:
    for url in (f"http://a.example:{port}/", f"https://[::1]:{port}/b?c"):
        with pytest.raises(ForbiddenAddressError, match=f"port {port}"):
            vet_port(url)


@pytest.mark.parametrize(
    "url", ["http://a.example/", "http://a.example:80/", "https://a.example:8443/", "http://[2001:db8::1]/:25"]
)
def test_other_ports_pass(url: str) -> None:
    vet_port(url)


def test_client_connects_to_no_forbidden_port() -> None:
    client = Client("webtext/test", AddressPolicy.of(["127.0.0.0/8"]), RequestLimits(5.0))
    with client, pytest.raises(RequestError) as refused:
        client.get("http://127.0.0.1:25/")
    assert refused.value.failure is RequestFailure.FORBIDDEN_ADDRESS
