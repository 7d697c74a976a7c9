"""Network addresses that a crawler may connect to: those of the public Internet, and those that the user allows.

The tables are here because `is_global` of `ipaddress` differs between patch levels of Python, and accepts 6to4, NAT64,
v4-compatible and multicast addresses that lead back into private networks.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup = Callable[..., list[Any]]
"""Signature of `socket.getaddrinfo`."""

FORBIDDEN_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
"""The publicly routed part of IPv6. V4-mapped, v4-compatible, NAT64, local and multicast addresses lie outside it."""

FORBIDDEN_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries a v4 address
        "3fff::/20",  # documentation
    )
)
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?$")


class ForbiddenAddressError(Exception):
    """A host is, or resolves to, an address outside the public Internet."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Decides on addresses: public ones and those of the `allowed` networks may be connected to."""

    allowed: tuple[IPNetwork, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str]) -> "AddressPolicy":
        """The policy that allows networks in CIDR form. Raises ValueError that names an invalid one."""
        return cls(tuple(_network(text) for text in networks))

    def admits(self, address: IPAddress) -> bool:
        """Whether a connection to the address may be made."""
        if any(address in network for network in self.allowed if network.version == address.version):
            return True
        if isinstance(address, ipaddress.IPv4Address):
            return not any(address in network for network in FORBIDDEN_V4)
        return address in GLOBAL_V6 and not any(address in network for network in FORBIDDEN_V6)

    def vet_host(self, host: str) -> None:
        """Raise ForbiddenAddressError for a literal address that is forbidden; names pass.

        Decimal, octal, hexadecimal and shortened forms of IPv4 are refused whatever address they denote.
        """
        host = host.strip("[]")
        if ":" not in host and not _ENDS_IN_NUMBER.search(host):
            return
        try:
            address = ipaddress.ip_address(host)
        except ValueError as error:
            raise ForbiddenAddressError(f"{host}: not an address in its usual form") from error
        if not self.admits(address):
            raise ForbiddenAddressError(f"{host}: not a public address")

    def vet_addresses(self, host: str, addresses: Iterable[Any]) -> None:
        """Raise ForbiddenAddressError where any of the socket addresses that a host resolves to is forbidden."""
        for address in addresses:
            if not self.admits(ipaddress.ip_address(address[0])):
                raise ForbiddenAddressError(f"{host}: leads to {address[0]}, which is not a public address")


def _network(text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"--allow-addresses {text}: not a network such as 127.0.0.0/8 ({error})") from error
