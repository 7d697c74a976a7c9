"""Telephone numbers in a text, in international and in national spelling.

A pattern proposes runs of digits with the separators that people put into numbers; phonenumbers says whether a country has such a
number. A number without its country's code counts where the text says that it is one, or where it is written as its country writes it.
"""

import re
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber

MASK: Final = "000-000-0000"
_BLANK: Final = r"[ \u00a0\u202f\u2009]"
_DASH: Final = r"[-\u2010-\u2015\u2212]"
_SEPARATOR: Final = r"[ \u00a0\u202f\u2009()./\u2010-\u2015\u2212-]"
CANDIDATE: Final = re.compile(
    r"(?:(?<![\w+=&#@%$€£])(?<!\d[.,:/])(?<!\w[-/])(?:(?:tel|phone|fax|fon)\.)?|(?<=[^\W\d_])(?=\+\d))"
    rf"(?:\({_BLANK}?)?(?:\+{_BLANK}?)?(?:\({_BLANK}?)?\d(?:{_SEPARATOR}{{0,4}}\d){{6,17}}"
    rf"(?P<extension>{_BLANK}?(?:x|ext\.?|extension|ap\.?|durchwahl){_BLANK}?\d{{1,5}})?(?![\w%€$£]|[.,:/-]\d)",
    re.IGNORECASE,
)
BETWEEN_NUMBERS: Final = re.compile(r"\s+[/|\u2010-\u2015-]\s+|\s{2,}")
AND: Final = re.compile(r"\s*(?:[,;/|&]|or|and|oder|und|bzw\.|sowie|y|et|e|ou|o|en)?\s*(?:\w+[.:]*\s*)?", re.IGNORECASE)
"""What may stand between two numbers of one list."""

NAMED: Final = re.compile(
    r"(?:\b(?:tels?|telephones?|téléphones?|telefon|telefono|telefon[oe]s|teléfonos?|telefoon|tél|fon|phones?|fax|faks|telefax|тел|телефон|факс|τηλ)"
    r"|فاكس|هاتف|电话|電話|传真|傳真|전화|☎|☏|✆|📞|📱)[^\w\n]{0,8}$",
    re.IGNORECASE,
)
"""A word right before a number that leaves no doubt."""

SAID: Final = re.compile(
    r"(?:\b(?:tel|telephone|téléphone|telefon|telefono|teléfono|telefoon|tél|fon|phone|fax|faks|mobile|mobil|mobiltelefon|cell|handy|portable"
    r"|hotline"
    r"|helpline|call|text|dial|ring|whatsapp|sms|toll[ -]free|contact|anrufen|rufnummer|rufen sie"
    r"|appelez|llame)\b|[☎☏✆📞📱])[^\d\n]{0,25}$",
    re.IGNORECASE,
)
NOT_SAID: Final = re.compile(
    r"\b(?:isbn|issn|ean|doi|gtin|upc|asin|oclc|pmid|arxiv|hrb|ust|vat|tax|registration|order|article|id|no|nr|serial|iban|bic|account|konto|kto"
    r"|blz|version|copyright|©|model|part|case|patent|ticket|invoice|code|aktenzeichen|az|eur|usd|gbp|chf)[-.:\s\w]{0,12}[:#\s(]{0,3}$|[€$£¥]\s?$",
    re.IGNORECASE,
)
AMERICAN: Final = re.compile(
    rf"(?:\+?1[ .-]?)?(?:\([2-9]\d\d\){_BLANK}?{_DASH}?|[2-9]\d\d(?P<s>{_BLANK}|{_DASH}|\.))"
    rf"\d{{3}}(?(s)(?P=s)|(?:{_BLANK}|{_DASH}|\.))\d{{4}}"
)
"""The way in which North America writes ten digits."""

OTHER_NUMBERS: Final = re.compile(
    r"\d{1,2}([./-])\d{1,2}\1(?:\d{2}|\d{4})(?:[ ,].*)?|\d{4}[./-]\d\d[./-]\d\d(?:[ ,].*)?|(?:.*\s)?\d\.\d{4,}(?:\s.*)?"
    r"|(?:.*\s)?0\.\d+\s.*|[01]?\d[.:][0-5]\d\s?[-\u2010-\u2015]\s?[012]?\d[.:][0-5]\d.*"
    rf"|(?:1[5-9]|20)\d\d{_BLANK}?{_DASH}{_BLANK}?(?:(?:1[5-9]|20)\d\d|\d\d\b).*"
)
"""Days, fractions, hours from and to, and ranges of years."""

REGIONS: Final = (
    *(
        "DE",
        "FR",
        "GB",
        "IT",
        "ES",
        "NL",
        "BE",
        "AT",
        "CH",
        "AU",
        "IN",
        "IE",
        "SE",
        "DK",
        "NO",
        "FI",
        "PT",
        "PL",
        "CZ",
        "BR",
        "MX",
    ),
    *("ZA", "JP", "CN", "NZ", "US"),
)
"""Where a number without a country's code may be from."""

LABEL: Final = "telphonfaxTELPHONFAX."
"""Characters of a word that stands before a number without a blank."""

LEAST_DIGITS: Final = 9
"""A number that starts with a zero, and of which nothing says that it is one, has at least this many digits."""


def mask(text: str) -> tuple[str, int]:
    """The text with the numbers masked, and how many. Idempotent.

    >>> mask("Tel. 030/901820, or +33 (0)1 42 68 53 00; founded 1914-1918")
    ('Tel. 000-000-0000, or 000-000-0000; founded 1914-1918', 2)
    """
    count, last = 0, -1

    def replacement(match: re.Match[str]) -> str:
        nonlocal count, last
        before = text[max(0, match.start() - 40) : match.start()]
        listed = 0 <= last <= match.start() and AND.fullmatch(text, last, match.start()) is not None
        masked, found = _masked(match[0], match["extension"] or "", before, listed=listed)
        if found:
            count, last = count + found, match.end()
        return masked

    return CANDIDATE.sub(replacement, text), count


def _masked(candidate: str, extension: str, before: str, *, listed: bool) -> tuple[str, int]:
    """The candidate as a mask, where it is a number, or with masks for the numbers in it, and how many."""
    if candidate == MASK:
        return candidate, 0
    if is_number(candidate.removesuffix(extension), before, listed=listed):
        return MASK, 1
    place = BETWEEN_NUMBERS.search(candidate)
    if not place:
        return candidate, 0
    first, found = _masked(candidate[: place.start()], "", before, listed=listed)
    second, more = _masked(candidate[place.end() :], extension, before, listed=listed or bool(found))
    return first + place[0] + second, found + more


def is_number(candidate: str, before: str, *, listed: bool = False) -> bool:
    """Whether a candidate is a telephone number. `before` is the text before it; `listed` where that is a number of the same list."""
    number = candidate.lstrip(LABEL).strip()
    digits = "".join(filter(str.isdigit, number))
    if not 7 <= len(digits) <= 17 or OTHER_NUMBERS.fullmatch(number):
        return False
    if number.startswith(("+", "(+")) or re.match(r"00[1-9]", number):
        return _is_international(number)
    if NAMED.search(before) or candidate != number or listed:
        return len(digits) <= 15 or _is_somewhere(number)
    if NOT_SAID.search(before):
        return False
    if AMERICAN.fullmatch(number):
        return True
    if SAID.search(before):
        return _is_somewhere(number)
    return len(digits) >= LEAST_DIGITS and digits.startswith("0") and not number.isdigit() and _is_somewhere(number)


def _is_somewhere(number: str) -> bool:
    """Whether a country has the number, or what is behind the first group of its digits, which may be a prefix of a service."""
    rest = number.partition(" ")[2]
    return any(_is_valid(number, region) or (rest and _is_valid(rest, region)) for region in REGIONS)


def _is_international(number: str) -> bool:
    plain = re.sub(r"\(0\)", "", number).replace("(", "").replace(")", "")
    parsed = _parse(plain if "+" in plain else f"+{plain.removeprefix('00')}", None)
    return parsed is not None and phonenumbers.is_possible_number(parsed)


def _is_valid(number: str, region: str) -> bool:
    parsed = _parse(number, region)
    return parsed is not None and phonenumbers.is_valid_number_for_region(parsed, region)


def _parse(number: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(number, region)
    except NumberParseException:
        return None
