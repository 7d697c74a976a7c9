"""Days as people and programs write them, in numbers or with the names of months."""

# ruff: noqa: RUF001 (months have letters that look like others)

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Final

_NAMES: Final = """
jan january januar jänner jän janvier janv enero ene gennaio gen janeiro januari ianuarie ian stycznia leden ledna января январь ocak
feb february februar feber février févr fév febrero febbraio fevereiro fev februari februarie lutego února февраля şubat
mar march märz mär mrz mars marzo março maart mrt martie marca března марта mart
apr april avril avr abril abr aprile aprilie kwietnia dubna апреля nisan
may mai mayo maggio mag maio mei maja května мая mayıs
jun june juni juin junio giugno giu junho iunie iun czerwca června июня haziran
jul july juli juillet juil julio luglio lug julho iulie iul lipca července июля temmuz
aug august août agosto ago augustus august sierpnia srpna августа ağustos
sep sept september septembre septiembre settembre set setembro septembrie września září сентября eylül
oct october oktober okt octobre octubre ottobre ott outubro out octombrie października října октября ekim
nov november novembre noviembre novembro noiembrie noi listopada listopadu ноября kasım
dec december dezember dez décembre déc diciembre dic dicembre dezembro decembrie grudnia prosince декабря aralık
"""
MONTHS: Final = {name: number for number, line in enumerate(_NAMES.strip().split("\n"), 1) for name in line.split()}
"""Names of months and their short forms, in the languages of most of the web."""

_MONTH: Final = "|".join(sorted(map(re.escape, MONTHS), key=len, reverse=True))
_YEAR: Final = r"(?:19|20)\d\d"
_DAY: Final = re.compile(
    rf"(?<![\d.,])(?:(?P<iy>{_YEAR})[-/.](?P<im>\d\d?)[-/.](?P<id>\d\d?)(?!\d)"
    rf"|(?P<cy>{_YEAR})(?P<cm>0\d|1[0-2])(?P<cd>[0-2]\d|3[01])(?=T|\b)"
    rf"|(?P<jy>{_YEAR})\s?[年년]\s?(?P<jm>\d\d?)\s?[月월]\s?(?P<jd>\d\d?)\s?[日일]"
    rf"|(?P<nd>\d\d?)(?:st|nd|rd|th|er|º|\.)?,?[\s-]+(?:of\s+|de\s+)?(?P<nm>{_MONTH})\b\.?,?[\s-]+(?:de[l]?\s+)?(?P<ny>{_YEAR})\b"
    rf"|(?P<ed>\d\d?)(?P<es>[./-])(?P<em>\d\d?)(?P=es)\s?(?P<ey>{_YEAR}|\d\d)(?![\d/.-]))"
    rf"|\b(?P<um>{_MONTH})\b\.?\s+(?P<ud>\d\d?)(?:st|nd|rd|th)?,?\s+(?P<uy>{_YEAR})\b",
    re.IGNORECASE,
)


def day_in(text: str, month_first: bool = False) -> Iterator[date]:
    """The first day that a text names, if any. `month_first` reads 3/4/2020 as the fourth of March.

    >>> [next(day_in(text)).isoformat() for text in ("Tue, 5. Mai 2020", "May 5th, 2020", "05.05.20", "20200505T1200", "2020-5-5")]
    ['2020-05-05', '2020-05-05', '2020-05-05', '2020-05-05', '2020-05-05']
    """
    for match in _DAY.finditer(text):
        if days := list(_day_of(match, month_first)):
            yield days[0]
            return


def _day_of(match: re.Match[str], month_first: bool) -> Iterator[date]:
    for kind in "icj":
        if match[f"{kind}y"]:
            yield from iso_day(match[f"{kind}y"], match[f"{kind}m"], match[f"{kind}d"])
    for kind in "nu":
        if match[f"{kind}y"]:
            yield from iso_day(match[f"{kind}y"], str(MONTHS[match[f"{kind}m"].lower()]), match[f"{kind}d"])
    if year := match["ey"]:
        first, second = match["ed"], match["em"]
        if int(second) > 12 or (month_first and match["es"] == "/" and int(first) <= 12):
            first, second = second, first
        yield from iso_day(year if len(year) == 4 else f"20{year}", second, first)


def iso_day(year: str, month: str, day: str) -> Iterator[date]:
    """The day of three numbers, if there is such a day."""
    with suppress(ValueError):
        yield date(int(year), int(month), int(day))
