"""Ports that no browser sends an HTTP request to: other protocols' servers might take it for a command."""

from urllib.parse import urlsplit

from pipeline.pages.addresses import ForbiddenAddressError

FORBIDDEN_PORTS = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
     115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
     563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
     6668, 6669, 6679, 6697, 10080}
)  # fmt: skip
"""The Fetch standard's list (section 2.9, port blocking)."""


def vet_port(url: str) -> None:
    """Raise ForbiddenAddressError where the URL's port is forbidden; ValueError where it is not a port."""
    port = urlsplit(url).port
    if port in FORBIDDEN_PORTS:
        raise ForbiddenAddressError(f"port {port}: not a port for HTTP")
