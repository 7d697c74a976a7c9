"""Masks for what identifies a person: e-mail addresses, telephone numbers, IP addresses, bank accounts, payment cards.

FineWeb and Dolma mask the first three. A pattern proposes, and a library or the number's own check digits decide: phonenumbers (Google's
libphonenumber) for telephone numbers, the public suffix list for the domains of addresses, ISO 13616 for accounts, Luhn's digit for cards.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from pipeline.documents import telephone
from pipeline.urls import has_public_suffix

EMAIL_MASK: Final = "email@example.com"
PHONE_MASK: Final = telephone.MASK
IP_MASK: Final = "0.0.0.0"  # noqa: S104 (a mask, not an address to listen on)
IPV6_MASK: Final = "::"
IBAN_MASK: Final = "XX00 0000 0000 0000 0000"
CARD_MASK: Final = "0000 0000 0000 0000"

EMAIL: Final = re.compile(
    r"(?<![\w.+%@/~-])[^\W\d_]?[\w.+%'-]{0,63}[\w+]@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])(?!:[\w~/])"
)
FILES: Final = frozenset(
    ("png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "css", "js", "json", "html", "php", "tar", "zip", "exe")
)
"""Ends of file names, such as logo@2x.png, which are no domain in an address though some are suffixes."""

IPV4: Final = re.compile(r"(?<![\w.:/@-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)", re.ASCII)
IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){1,7}(?::|(?::?[0-9A-Fa-f]{1,4}){1,7})(?![\w:])", re.ASCII)
NOT_AN_ADDRESS: Final = re.compile(
    r"(?:version|ver|v|release|build|firmware|revision|rev|section|§|chapter|oid|patch|driver|chrome|firefox|safari|update|sdk|kernel|table|figure)"
    r"[.:\s]{0,3}$",
    re.IGNORECASE,
)
"""What before four numbers says that they are a version or a section."""

IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ \u00a0]?[A-Z0-9]{4}){2,7}(?:[ \u00a0]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
IBAN_CHARACTERS: Final = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST",
        26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE",
        31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""The length of an account's number by its country (the registry of ISO 13616)."""

CARD: Final = re.compile(
    r"(?<![\w.,/+-])(?:[3-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w/-]|[.,]\d)", re.ASCII
)


def mask(text: str) -> tuple[str, int]:
    """The text with masks, and the number of masks. Idempotent. Of IP addresses only those of the public internet are masked.

    >>> mask("Write to jo@mail.org or call (555) 123-4567.")
    ('Write to email@example.com or call 000-000-0000.', 2)
    """
    total = 0
    for pattern, replacement, is_personal in _RULES:
        text, count = _replace(text, pattern, replacement, is_personal)
        total += count
    text, phones = telephone.mask(text)
    return text, total + phones


def _replace(text: str, pattern: re.Pattern[str], mask: str, is_personal: Callable[[re.Match[str]], bool]) -> tuple[str, int]:
    count = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal count
        if match[0] == mask or not is_personal(match):
            return match[0]
        count += 1
        return mask

    return pattern.sub(replacement, text), count


def _is_email(match: re.Match[str]) -> bool:
    local, _, domain = match[0].rpartition("@")
    last = domain.rpartition(".")[2].lower()
    return local != "git" and last not in FILES and has_public_suffix(domain.lower())


def _is_public_ipv4(match: re.Match[str]) -> bool:
    if NOT_AN_ADDRESS.search(match.string, max(0, match.start() - 20), match.start()):
        return False
    try:
        return ipaddress.IPv4Address(match[0]).is_global
    except ipaddress.AddressValueError:
        return False


def _is_public_ipv6(match: re.Match[str]) -> bool:
    """Whether it is a global unicast address. What has no `::` and not eight groups is a time or a hash."""
    try:
        address = ipaddress.IPv6Address(match[0])
    except ipaddress.AddressValueError:
        return False
    return address.is_global and address.packed[0] >> 5 == 1


def _is_iban(match: re.Match[str]) -> bool:
    number = re.sub(r"[ \u00a0]", "", match[0])
    digits = "".join(str(int(character, 36)) for character in number[4:] + number[:4])
    return IBAN_CHARACTERS.get(number[:2]) == len(number) and int(digits) % 97 == 1


def _is_card(match: re.Match[str]) -> bool:
    digits = [int(character) for character in match[0] if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


_RULES: Final[tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], bool]], ...]] = (
    (EMAIL, EMAIL_MASK, _is_email),
    (IBAN, IBAN_MASK, _is_iban),
    (CARD, CARD_MASK, _is_card),
    (IPV6, IPV6_MASK, _is_public_ipv6),
    (IPV4, IP_MASK, _is_public_ipv4),
)
