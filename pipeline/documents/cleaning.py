"""Cleaning of texts and simple filters: pure functions. A filter gives None to keep a text, or a few words that say why it is dropped."""

import re
from functools import cache
from typing import Final

from pipeline.documents import scripts

BOILERPLATE: Final = re.compile(
    r"""\W*(?:
      (?:skip|jump)\ to\ (?:main\ )?(?:content|navigation)
    | (?:please\ )?enable\ javascript.*
    | (?:javascript|your\ browser)\b.{0,60}\b(?:disabled|enabled|not\ supported|out\ of\ date).*
    | (?:share|tweet|pin|email|print|like|follow)(?:\ (?:this|it|us|on|via|with|to|article|story|page|post|facebook|twitter
        |pinterest|linkedin|reddit|whatsapp|email|friends))*
    | (?:like|enjoyed?)\ this\ (?:story|article|post)\b.*
    | (?:click|tap)\ (?:here|to)\b.{0,60}
    | (?:sign\ up|subscribe|sign\ in|log\ in|register)\b.{0,60}
    | (?:get|receive)\ (?:the|our|all)\b.*\b(?:inbox|newsletters?|alerts?|delivered).*
    | (?:have|got)\ a\ (?:tip|story)\b.* | tell\ us\ what\ you\ think.*
    | (?:.*\b)?follow\ (?:him|her|them|us|me)\ on\ (?:twitter|facebook|instagram).*
    | (?:(?:first|last|date)\ )?(?:published|updated|posted|modified)\b.{0,40}\b(?:19|20)\d\d\b.{0,30}
    | advertisement|advertising|sponsored(?:\ content)?|story\ continues\ below.*|continue\ reading.*
    | (?:read\ more|see\ also|also\ read|also\ on|don.t\ miss|watch|recommended)(?:\ *:.*)?
    | read\ more\b.{0,60}|related(?:\ (?:articles|stories|posts|topics))?(?:\ *:.*)?
    | (?:leave|post|add)\ a\ (?:comment|reply).*|(?:view|show|load|hide)\ (?:all\ |more\ )?(?:\d+\ )?comments?.*
    | (?:\d+\ )?comments?
    | (?:we|this\ (?:web)?site)\ uses?\ cookies.*|accept(?:\ all)?(?:\ cookies)?|cookie\ (?:policy|settings).*
    | (?:all\ rights\ reserved|copyright\ (?:©|\(c\))?\ ?\d{4}|©\ ?\d{4}).{0,80}
    | terms\ (?:of\ (?:use|service)|and\ conditions).{0,40}|privacy\ policy.{0,40}
    )\W*""",
    re.VERBOSE | re.IGNORECASE,
)
"""A line that is a site's furniture, whatever the page is about."""

BOILERPLATE_CHARACTERS: Final = 120
"""A longer line is prose that begins like furniture."""

UNSPACED_CHARACTER: Final = re.compile(f"[{scripts.UNSPACED}]")
TITLE_LINES: Final = 3
PROSE_CHARACTERS: Final = 80
NOT_WORDS: Final = re.compile(r"\W+")
BLANK_LINES: Final = re.compile(r"\n{3,}")


def strip_boilerplate(text: str) -> tuple[str, int]:
    """The text without lines that are a site's furniture, and the number of those lines. Idempotent.

    >>> strip_boilerplate("Read more »\\nThe cat sat.")
    ('The cat sat.', 1)
    """
    kept = []
    removed = 0
    for line in text.split("\n"):
        if len(line) <= BOILERPLATE_CHARACTERS and BOILERPLATE.fullmatch(line):
            removed += 1
        else:
            kept.append(line)
    return tidy("\n".join(kept)), removed


def strip_title(text: str, headings: frozenset[str]) -> tuple[str, bool]:
    """The text without its title, and whether the title was in its first lines. The title has a column of its own.

    Lines above the title are removed too, unless they are long enough to be prose. A page's <title> often ends in the site's name, so a
    line of more than 12 characters that begins the <title> counts as the title.

    >>> strip_title("A storm is coming\\nStay at home.", frozenset({"A storm is coming | The Daily"}))
    ('Stay at home.', True)
    """
    titles = [_words(heading) for heading in headings]
    lines = text.split("\n")
    for number, line in enumerate(lines[:TITLE_LINES]):
        words = _words(line)
        if words and any(words == title or (len(words) > 12 and title.startswith(words)) for title in titles):
            above = [line for line in lines[:number] if len(line) >= PROSE_CHARACTERS]
            return "\n".join(above + lines[number + 1 :]).strip(), True
    return text, False


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
