"""Masks for what identifies a person: e-mail addresses, telephone numbers, IP addresses, as FineWeb and Dolma replace them."""

import ipaddress
import re
from collections.abc import Callable
from typing import Final

EMAIL_MASK: Final = "email@example.com"
PHONE_MASK: Final = "000-000-0000"
IP_MASK: Final = "0.0.0.0"  # noqa: S104 (a mask, not an address to listen on)

EMAIL: Final = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])", re.ASCII
)
IPV4: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)", re.ASCII)
PHONE: Final = re.compile(
    r"(?<![\w.+/-])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4})(?![\w/-])",
    re.ASCII,
)
PHONE_DIGITS: Final = range(8, 16)


def mask(text: str) -> tuple[str, int]:
    """The text with masks, and the number of masks. Idempotent. Of IP addresses only those of the public internet are masked.

    >>> mask("Write to jo@mail.org or call (555) 123-4567.")
    ('Write to email@example.com or call 000-000-0000.', 2)
    """
    text, emails = _replace(text, EMAIL, EMAIL_MASK, lambda _: True)
    text, addresses = _replace(text, IPV4, IP_MASK, _is_public)
    text, phones = _replace(text, PHONE, PHONE_MASK, _is_phone)
    return text, emails + addresses + phones


def _replace(text: str, pattern: re.Pattern[str], mask: str, is_personal: Callable[[str], bool]) -> tuple[str, int]:
    count = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal count
        if match[0] == mask or not is_personal(match[0]):
            return match[0]
        count += 1
        return mask

    return pattern.sub(replacement, text), count


def _is_public(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_global
    except ipaddress.AddressValueError:
        return False


def _is_phone(number: str) -> bool:
    return sum(character.isdigit() for character in number) in PHONE_DIGITS
