"""The day on which a page was published: what its address, its metadata and its visible dates say, in this order.

The rules are those that htmldate found to hold (Barbaresi 2020), as far as they need no parser. A page's own words about itself come
before dates that merely stand near the top. A day before the web is none.
"""

import html
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice, repeat
from typing import Final

from pipeline.documents.day_formats import day_in, iso_day

FIRST_DAY: Final = date(1991, 8, 6)
"""The day on which the web became public."""

LAST_YEAR: Final = 2099
SEARCHED_CHARACTERS: Final = 2_000_000
IN_URL: Final = re.compile(
    r"[/=_-](?:(?P<y>(?:19|20)\d\d)(?P<s>[/_-]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])(?=[/_.?&-]|$)"
    r"|(?P<sy>(?:19|20)\d\d)/(?P<sm>\d\d?)/(?P<sd>\d\d?)(?=/|$))"
)
OWN_ADDRESS: Final = ("canonical", "og:url")
"""Words of the elements that give the page's own address."""

ADDRESS: Final = re.compile(r"""\b(?:href|content)=["']?(https?:[^"'\s<>]+)""", re.IGNORECASE)
META: Final = re.compile(r"<meta\b[^<>]{0,3000}>", re.IGNORECASE)
META_NAME: Final = re.compile(r"""\b(?:name|property|itemprop|http-equiv)=["']?([^"'\s<>]+)""", re.IGNORECASE)
META_CONTENT: Final = re.compile(r"""\b(?:content|datetime)=(?:"([^"<>]*)"|'([^'<>]*)'|([^"'\s<>]+))""", re.IGNORECASE)
META_NAMES: Final = (
    *(
        "article:published_time",
        "datepublished",
        "og:published_time",
        "og:article:published_time",
        "article:published",
        "pubdate",
    ),
    *("publishdate", "publish-date", "publish_date", "published-date", "published_date", "publication_date", "publication-date"),
    *(
        "article.published",
        "article_date_original",
        "cxenseparse:recs:publishtime",
        "parsely-pub-date",
        "sailthru.date",
        "bt:pubdate",
    ),
    *(
        "citation_publication_date",
        "citation_online_date",
        "dc.date.issued",
        "dcterms.issued",
        "dc.issued",
        "dcterms.created",
        "dc.created",
    ),
    *(
        "dc.date.created",
        "dc.date",
        "dcterms.date",
        "rnews:datepublished",
        "displaydate",
        "date.available",
        "originalpublicationdate",
    ),
    *(
        "timestamp",
        "time",
        "vr:published",
        "date",
        "datecreated",
        "created",
        "date_created",
        "article:create",
        "five_hundred_pixels:uploaded",
    ),
)
"""Names of <meta> elements, from the surest on."""

SURE_NAMES: Final = 5
LOCAL_TIME: Final = re.compile(r"T\d\d:\d\d.*[+-](?!00:?00)\d\d:?\d\d$")
"""A time with the offset of its place, whose day is that of its readers; a day in UTC may be the one before."""

JSON_VALUE: Final = re.compile(r"""["']\s{0,9}:\s{0,9}["']([^"'<>]{6,40})["']""")
JSON_NAMES: Final = (
    *("datePublished", "articlePublishTime", "publication_date", "publish_date", "pubDate", "dateCreated", "created_at"),
)
ITEMPROP: Final = re.compile(r"""itemprop=["']?date(?:Published|Created)\b[^<>]{0,500}>([^<>]{0,60})""")
TIME: Final = re.compile(r"<time\b([^<>]*)>([^<>]{0,60})", re.IGNORECASE)
ABBR: Final = re.compile(
    r"""<abbr\b[^<>]*\bclass=["'][^"'<>]{0,100}?\b(?:published|date-published|dtstart)\b[^<>]{0,500}>([^<>]{0,60})""",
    re.IGNORECASE,
)
MARK: Final = re.compile(
    r"""(?:class(?<=\bclass)|id(?<=\bid))=["']?[^"'<>]{0,100}?(?i:publi[sc]|(?<![a-z])date(?!picker|line-)|datum|fecha|posted|post-footer|-time\b"""
    r"""|timestamp|metadata|lastchanged|lastmod|byline)"""
)
"""A class or id that speaks of a day. It begins with letters, as the search is twice as fast where the first character is known."""

UNMARKED: Final = re.compile(r"<(?:meta|link|script|a|input|li|ul)\b", re.IGNORECASE)
NO_ARTICLE: Final = re.compile(
    r"""\b(?:class|id)=["'][^"'<>]{0,100}?(?:comment|related|teaser|sidebar|widget|leserbrief|card)""", re.IGNORECASE
)
OF_ARTICLE: Final = re.compile(
    r"""\bpubdate\b|\b(?:class|id)=["']?[^"'<>]{0,100}?(?:publi[sc]|entry-date|post-?date|article-?date)""", re.IGNORECASE
)
ALONE: Final = re.compile(r">\s{0,60}([^<>\s][^<>]{6,43}\d)\s{0,60}</(?:div|p|span|small|em|i|b|dd|td|h\d)\b", re.IGNORECASE)
WORDS: Final = re.compile(r"(?:[^\W\d]{2,}\W+){4}")
"""More words than a day has."""

STATUS: Final = re.compile(r"//(?:\w+\.)?(?:twitter|x)\.com/\w+/status/(\d{15,20})\b")
STATUS_EPOCH_MS: Final = 1_288_834_974_657
"""The number of a status holds the millisecond of its creation since this one of the Unix epoch, in the bits from 22 up."""

TAGS: Final = re.compile(r"<(?:script|style)\b.*?</(?:script|style)\s*>|<[^<>]{0,500}>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
MOST: Final = 40
"""Elements of one kind that are looked at: a page names its day near its top."""

TAG_CHARACTERS: Final = 1000
NEAR: Final = 300
"""A marked element's date stands within this many characters of markup."""

YEAR: Final = re.compile(r"\d(?<=\b\d)(?:(?<=1)9\d\d\b|(?<=2)0\d\d\b|\d?\.\d\d?\.\d\d\b)")
"""A year, or a day in numbers with the year's last two."""

SAID: Final = re.compile(
    r"\b(?:published|posted|publiée?\s+le|veröffentlicht|erschienen|publicado|pubblicato|gepubliceerd|datum|stand|beitrag\s+wurde"
    r"|artikel\s+wurde|written|geschrieben|updated|\$date)\b",
    re.IGNORECASE,
)
SAID_CHARACTERS: Final = 80
"""Such a word stands at most this far before the day."""


def publication_day(markup: str, url: str = "") -> date | None:
    """The day of publication, or None where nothing says it. `url` is the page's final address.

    >>> publication_day('<meta property="article:published_time" content="2017-05-04T10:00:00Z">')
    datetime.date(2017, 5, 4)
    >>> publication_day("<p>", "http://example.org/2017/05/04/story")
    datetime.date(2017, 5, 4)
    """
    month_first = _is_american(markup)
    return next((day for day in _candidates(markup[:SEARCHED_CHARACTERS], url, month_first) if _is_plausible(day)), None)


def _candidates(markup: str, url: str, month_first: bool) -> Iterator[date]:
    yield from _in_urls(markup, url)
    yield from _in_metadata(markup, month_first)
    yield from _in_elements(markup, month_first)


def _in_urls(markup: str, url: str) -> Iterator[date]:
    if status := STATUS.search(url):
        yield datetime.fromtimestamp(((int(status[1]) >> 22) + STATUS_EPOCH_MS) / 1000, UTC).date()
    for address in (url, *map(_own_address, OWN_ADDRESS, repeat(markup))):
        if match := IN_URL.search(address):
            yield from iso_day(match["y"] or match["sy"], match["m"] or match["sm"], match["d"] or match["sd"])


def _own_address(word: str, markup: str) -> str:
    at = markup.find(word)
    start, end = markup.rfind("<", max(0, at - TAG_CHARACTERS), at), markup.find(">", at, at + TAG_CHARACTERS)
    match = (
        ADDRESS.search(markup, start, end) if at >= 0 and start >= 0 and markup.startswith(("<link", "<meta"), start) else None
    )
    return match[1] if match else ""


def _in_metadata(markup: str, month_first: bool) -> Iterator[date]:
    found: dict[str, str] = {}
    for tag in META.finditer(markup):
        name, content = META_NAME.search(tag[0]), META_CONTENT.search(tag[0])
        if name and content:
            found.setdefault(name[1].lower(), content[1] or content[2] or content[3] or "")
    sure = [_in_json(markup, JSON_NAMES[0]), *(found.get(name, "") for name in META_NAMES[:SURE_NAMES])]
    local = [text for text in sure if LOCAL_TIME.search(text)]
    for text in (*local, *sure):
        yield from day_in(text, month_first)
    for key in JSON_NAMES[1:]:  # a search of the whole page each, so only where nothing before gives a day
        yield from day_in(_in_json(markup, key), month_first)
    for key in META_NAMES[SURE_NAMES:]:
        yield from day_in(found.get(key, ""), month_first)


def _in_json(markup: str, name: str) -> str:
    """The first string under a name, in JSON or JavaScript anywhere in the page."""
    at = markup.find(name)
    for _ in range(MOST):
        if at < 0:
            break
        if value := JSON_VALUE.match(markup, at + len(name)):
            return value[1]
        at = markup.find(name, at + 1)
    return ""


def _in_elements(markup: str, month_first: bool) -> Iterator[date]:
    for match in _matches(ITEMPROP, markup, "itemprop="):
        yield from day_in(_attribute(match[0]) or match[1], month_first)
    times = [
        match for match in islice(TIME.finditer(markup), MOST) if not NO_ARTICLE.search(match[1]) and " style=" not in match[1]
    ]
    for match in (match for match in times[:1] if OF_ARTICLE.search(match[1])):
        yield from day_in(match[2], month_first)
        yield from day_in(_attribute(match[1]), month_first)
    for match in islice(ABBR.finditer(markup), MOST):
        yield from day_in(match[0], month_first)
    marked = list(islice(_marked(markup), MOST))
    for _, text in (pair for pair in marked if OF_ARTICLE.search(pair[0])):
        yield from day_in(text, month_first)
    for match in times:
        yield from day_in(match[2], month_first)
        yield from day_in(_attribute(match[1]), month_first)
    for _, text in marked:
        yield from day_in(text, month_first)
    for text in _said(markup):
        yield from day_in(text, month_first)
    alone = {day for match in islice(ALONE.finditer(markup), 50 * MOST) for day in _day_alone(match[1], month_first)}
    if len(alone) == 1:  # of several days, none is the page's
        yield from alone


def _marked(markup: str) -> Iterator[tuple[str, str]]:
    """The tags whose class or id speaks of a day, and the text behind each."""
    for match in islice(MARK.finditer(markup), 5 * MOST):
        start = markup.rfind("<", max(0, match.start() - TAG_CHARACTERS), match.start())
        end = markup.find(">", match.end(), match.end() + TAG_CHARACTERS)
        tag = markup[start : end + 1]
        if start >= 0 and end >= 0 and not UNMARKED.match(tag) and not NO_ARTICLE.search(tag):
            yield tag, _text(markup, end + 1, end + 1 + NEAR)


def _said(markup: str) -> Iterator[str]:
    """Texts that hold a day behind a word such as "published"."""
    for year in islice(YEAR.finditer(markup), 5 * MOST):
        start, end = max(0, year.start() - NEAR), year.end() + SAID_CHARACTERS
        if SAID.search(markup, start, year.start()):
            text = _text(markup, start, end)
            for said in SAID.finditer(text):
                yield text[said.end() : said.end() + SAID_CHARACTERS]


def _matches(pattern: re.Pattern[str], markup: str, begin: str) -> Iterator[re.Match[str]]:
    """The first matches of a pattern that begins with a fixed text; finding that first is ten times faster."""
    at = markup.find(begin)
    for _ in range(MOST):
        if at < 0:
            return
        if match := pattern.match(markup, at):
            yield match
        at = markup.find(begin, at + 1)


def _day_alone(text: str, month_first: bool) -> Iterator[date]:
    if sum(map(str.isdigit, text)) >= 5 and not WORDS.search(text):
        yield from day_in(text, month_first)


def _attribute(tag: str) -> str:
    match = META_CONTENT.search(tag)
    return (match[1] or match[2] or match[3] or "") if match else ""


def _text(markup: str, start: int, end: int) -> str:
    return " ".join(html.unescape(TAGS.sub(" ", markup[start:end])).split())


def _is_american(markup: str) -> bool:
    lang = re.search(r"""<html\b[^<>]*\blang=["']?([\w-]+)""", markup[:20_000], re.IGNORECASE)
    return bool(lang) and lang[1].lower() in ("en", "en-us")  # type: ignore[index]


def _is_plausible(day: date) -> bool:
    return day >= FIRST_DAY and day.year <= LAST_YEAR
