"""Cleaning of texts and simple filters: pure functions. A filter gives None to keep a text, or a few words that say why it is dropped."""

import re
from functools import cache
from typing import Final

from pipeline.documents import scripts

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DAY = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?[\s./-]+(?:{_MONTH}|\d{{1,2}})|{_MONTH}\ \d{{1,2}}|(?:19|20)\d\d-\d\d)"
_DATE = rf"(?:[a-z]{{3,9}}day,?\ )?{_DAY}\b.{{0,40}}"

FURNITURE: Final = re.compile(
    rf"""(?:
      (?:skip|jump)\ to\ (?:main\ )?(?:content|navigation)
    | (?:please\ )?enable\ javascript.*
    | (?:javascript|your\ browser)\b.{{0,60}}\b(?:disabled|enabled|not\ supported|out\ of\ date).*
    | (?:share|tweet|pin|email|print|like|follow)(?:\ (?:this|it|us|on|via|with|to|article|story|page|post|facebook|twitter
        |pinterest|linkedin|reddit|whatsapp|email|friends))*
    | (?:click|tap)\ here\b.{{0,60}}
    | (?:sign\ up|subscribe|register)\b.{{0,50}}\b(?:newsletters?|updates|alerts|e-?mails?|inbox|channel|feed|podcast)\b.{{0,30}}
    | (?:sign\ up|subscribe|sign\ in|log\ ?in|register)(?:\ (?:now|today|here|free|for\ free|or\ (?:sign\ up|subscribe|sign\ in|log\ in
        |register)))*
    | (?:get|receive)\ (?:the|our|all)\b.*\b(?:inbox|newsletters?|alerts?)\b.*
    | (?:.*\b)?follow\ (?:him|her|them|us|me)\ on\ (?:twitter|facebook|instagram).*
    | (?:(?:first|last|date)\ )?(?:published|updated|posted|modified)(?:\ (?:on|at))?[:,]?\ {_DATE}
    | advertisement|advertising|sponsored(?:\ content)?
    | don.t\ miss
    | (?:leave|post|add)\ a\ (?:comment|reply)(?:\ (?:below|here|on\ this.*|cancel\ reply))?
    | (?:view|show|load|hide)\ (?:all\ |more\ )?(?:\d+\ )?comments?
    | (?:\d+\ )?comments?
    | (?:we|this\ (?:web)?site)\ uses?\ cookies.*|accept(?:\ all)?(?:\ cookies)?|cookie\ (?:policy|settings)
    | (?:all\ rights\ reserved|copyright\ (?:©|\(c\))?\ ?\d{{4}}|©\ ?\d{{4}}).{{0,80}}
    )""",
    re.VERBOSE | re.IGNORECASE,
)
"""A line that is a site's furniture, whatever the page is about, and however it ends."""

POINTER: Final = re.compile(
    r"""(?:
      (?:sign\ in|log\ in|register)\ to\ (?:comment|reply|post|vote|continue|your\ account)\b.{0,40}
    | (?:click|tap)\ to\ (?:enlarge|expand|share|tweet|subscribe|print|zoom|email|play)\b.{0,40}
    | (?:like|enjoyed?)\ this\ (?:story|article|post)\b.*
    | (?:have|got)\ a\ (?:tip|story)\b.* | tell\ us\ what\ you\ think.*
    | story\ continues\ below.*|continue\ reading.*
    | (?:read\ more|see\ also|also\ read|also\ on|watch|recommended)(?:\ *:.*)?
    | read\ more\ (?:about|at|on|from|here|in|stories|articles|news)\b.{0,60}
    | related(?:\ (?:articles|stories|posts|topics))?(?:\ *:.*)?
    | terms\ (?:of\ (?:use|service)|and\ conditions).{0,40}|privacy\ policy.{0,40}
    )""",
    re.VERBOSE | re.IGNORECASE,
)
"""A line that points elsewhere, unless it ends as a sentence does."""

ORNAMENTS: Final = " \u00a0\u00bb\u203a\u2192\u25b6\u25ba\u00ab\u2039\u2190\u2022\u00b7|*\u2013\u2014\u2026-:#+()[]."
"""Marks around furniture. No quotes and braces: a program's line has these."""

SENTENCE_END: Final = (".", "!", "?", "\u3002")
BOILERPLATE_CHARACTERS: Final = 120
"""A longer line is prose that begins like furniture."""

WRAPPED_CHARACTERS: Final = 25
"""A line of this length that ends within a sentence goes on in the next line."""

UNSPACED_CHARACTER: Final = re.compile(f"[{scripts.UNSPACED}]")
TITLE_LINES: Final = 3
PROSE_CHARACTERS: Final = 80
TITLE_CHARACTERS: Final = 12
"""Text that is longer than this, and that a title begins or ends with, is no chance agreement."""

TRAIL: Final = re.compile(r"\s*[\u00bb\u203a\u2192\u25b8\u276f]\s*|\s+(?:[>/|•·\\]|::|>>)\s+")
"""What stands between the parts of a trail that leads from a site's front page to a page."""

FRONT_PAGE: Final = re.compile(
    r"(?:home ?page|home|front ?page|start(?:seite)?|accueil|in[ií]cio|p[aá]gina inicial|forside|hjem|strona główna|главная|首页)(?!\w)"
)
NOT_WORDS: Final = re.compile(r"\W+")
BLANK_LINES: Final = re.compile(r"\n{3,}")


def strip_boilerplate(text: str) -> tuple[str, int]:
    """The text without lines that are a site's furniture, and the number of those lines. Idempotent.

    Lines that are indented are code, and lines in the middle of a sentence are prose: both stay.

    >>> strip_boilerplate("Read more »\\nThe cat sat.")
    ('The cat sat.', 1)
    """
    lines = text.split("\n")
    kept: list[str] = []
    removed = 0
    for number, line in enumerate(lines):
        if is_furniture(line) and not _continues(kept[-1] if kept else "", line, lines[number + 1 : number + 2]):
            removed += 1
        else:
            kept.append(line)
    stripped = tidy("\n".join(kept))
    if removed and (again := strip_boilerplate(stripped))[1]:
        return again[0], removed + again[1]
    return stripped, removed


def is_furniture(line: str) -> bool:
    """Whether a line is a site's furniture, if it stands by itself."""
    if not line or len(line) > BOILERPLATE_CHARACTERS or line[0].isspace():
        return False
    bare = line.strip(ORNAMENTS)
    if FURNITURE.fullmatch(bare) or FURNITURE.fullmatch(bare.rstrip("!?")):
        return True
    return not line.rstrip().endswith(SENTENCE_END) and POINTER.fullmatch(bare) is not None


def _continues(before: str, line: str, after: list[str]) -> bool:
    """Whether a line is the middle of a sentence that the source wraps."""
    if len(before) < WRAPPED_CHARACTERS or not (before[-1].isalnum() or before[-1] in ",;"):
        return False
    return line[0].islower() or bool(after and after[0][:1].islower())


def strip_title(text: str, headings: frozenset[str]) -> tuple[str, bool]:
    """The text without its title, and whether the title was in its first lines. The title has a column of its own.

    Lines above the title are removed too, unless they are long enough to be prose. A page's <title> often ends in the site's name, so a
    line of more than 12 characters that begins the <title> counts as the title. So does a trail of the site's sections that ends in it.

    >>> strip_title("A storm is coming\\nStay at home.", frozenset({"A storm is coming | The Daily"}))
    ('Stay at home.', True)
    """
    titles = [_words(heading) for heading in headings]
    lines = text.split("\n")
    last = -1
    for number, line in enumerate(lines[:TITLE_LINES]):
        words = _words(line)
        if words and any(_is_title(words, title) for title in titles):
            last = number
            break
        if last < 0 and _is_trail(line, titles):
            last = number
    if last < 0:
        return text, False
    above = [line for line in lines[:last] if len(line) >= PROSE_CHARACTERS and not _is_trail(line, titles)]
    return "\n".join(above + lines[last + 1 :]).strip(), True


def _is_trail(line: str, titles: list[str]) -> bool:
    words = _words(line)
    return bool(words) and any(_is_trail_to(line, words, title) for title in titles)


def _is_title(words: str, title: str) -> bool:
    return bool(words) and (words == title or (len(words) > TITLE_CHARACTERS and title.startswith(words)))


def _is_trail_to(line: str, words: str, title: str) -> bool:
    """Whether a line is a trail of sections that ends in a title: with marks between its parts, from the front page on, or without space
    before the title's capital. Prose may end in the title too.
    """
    parts = TRAIL.split(line.rstrip())
    if len(parts) > 1 and _is_title(_words(parts[-1]), title):
        return True
    if len(title) <= TITLE_CHARACTERS or not words.endswith(title) or line.rstrip().endswith("."):
        return False
    before = words[: -len(title)]
    is_glued = before[-1:].isalnum() and NOT_WORDS.sub(" ", line).strip()[-len(title)].isupper()
    return len(before) < PROSE_CHARACTERS and (is_glued or FRONT_PAGE.match(before) is not None)


def _words(text: str) -> str:
    return NOT_WORDS.sub(" ", text).strip().lower()


def tidy(text: str) -> str:
    """The text without trailing spaces, without blank lines at its ends, and with at most one blank line in a row."""
    return BLANK_LINES.sub("\n\n", "\n".join(map(str.rstrip, text.split("\n")))).strip()


def too_short(text: str, least: int) -> str | None:
    """Why a text is too short: it has fewer than `least` characters."""
    return f"{len(text)} characters, at least {least}" if len(text) < least else None


def on_site(domain: str, sites: frozenset[str]) -> str | None:
    """The site of `sites` that a host belongs to: the host itself or a parent domain.

    >>> on_site("en.m.wikipedia.org", frozenset({"wikipedia.org"}))
    'wikipedia.org'
    """
    labels = domain.lower().rstrip(".").split(".")
    return next((site for i in range(len(labels)) if (site := ".".join(labels[i:])) in sites), None)


def bad_word(text: str, words: frozenset[str]) -> str | None:
    """The first word of `words` that occurs in the text as a whole word. In scripts without spaces it may stand anywhere.

    >>> bad_word("What a Darn shame.", frozenset({"darn"})), bad_word("He was darning.", frozenset({"darn"}))
    ('darn', None)
    """
    match = _any_of(words).search(text.lower()) if words else None
    return match[0] if match else None


@cache
def _any_of(words: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_whole_word, sorted(words, key=lambda word: (-len(word), word)))))


def _whole_word(word: str) -> str:
    """A pattern of a word or phrase in lower case. Vowel signs and other marks belong to the word that they stand in."""
    inside = r"\s+".join(map(re.escape, word.split()))
    before = "" if UNSPACED_CHARACTER.match(word) else r"(?<!\w)"
    after = "" if UNSPACED_CHARACTER.match(word[-1]) else rf"(?![\w{scripts.marks()}])"
    return f"{before}{inside}{after}"
