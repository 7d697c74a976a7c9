"""Sites and files that a corpus leaves out: Reddit's own hosts, the sites of a published policy or of a file, media files."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from pipeline.storage import files
from tokenizer.errors import InputError

REDDIT = ("reddit.com", "redd.it", "redditmedia.com", "redditstatic.com", "reddituploads.com")
"""Reddit's own hosts: discussions, galleries, v.redd.it videos, i.redd.it pictures. A link to them is not outbound."""

OPENWEBTEXT = (
    *("aapks.com", "bandcamp.com", "battleforthenet.com", "deviantart.com", "discord.gg", "dlapkandroid.org", "ebay.com"),
    *("edealinfo.com", "erome.com", "facebook.com", "flic.kr", "flickr.com", "gfycat.com", "giphy.com", "github.com"),
    *("google.com", "gunprime.com", "gyazo.com", "hotdealstar.com", "imgflip.com", "imgur.com", "instagram.com"),
    *("itunes.apple.com", "magaimg.net", "pinterest.com", "pornhub.com", "roanoke.com", "rollingstone.com", "sli.mg"),
    *("soundcloud.com", "spotify.com", "spotrac.com", "strawpoll.me", "streamable.com", "timeanddate.com", "twimg.com"),
    *("twitch.tv", "twitter.com", "vimeo.com", "voyagefusion.com", "walmart.com", "wikipedia.org", "xkcd.com", "youtu.be"),
    *("youtube.com", "youtubedoubler.com"),
)
"""The blocklist of jcpeterson/openwebtext (url_utils.py at 2a8aab2) without Reddit's hosts. Large sites of WebText are on it."""

POLICIES: dict[str, tuple[str, ...]] = {"webtext": (), "openwebtext": OPENWEBTEXT}
"""Sites to leave out, by policy.

`webtext` blocks none: google is first and github fourth of WebText's published 1,000 most frequent domains. GPT-2's model card
(November 2019) mentions a blocklist of subreddits that was never published: `--without-subreddits` takes one.
"""

MEDIA_EXTENSIONS = frozenset(
    [
        *("jpg", "jpeg", "png", "gif", "gifv", "bmp", "tif", "tiff", "webp", "svg", "ico", "psd"),
        *("mp3", "m4a", "wav", "ogg", "oga", "flac", "aac", "wma", "mid"),
        *("mp4", "m4v", "webm", "mkv", "avi", "mov", "mpg", "mpeg", "wmv", "flv", "ogv", "3gp", "swf"),
        *("pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "ods", "odp", "rtf", "epub", "mobi", "ps", "djvu"),
        *("zip", "gz", "tgz", "bz2", "xz", "7z", "rar", "tar", "exe", "msi", "dmg", "pkg", "iso", "apk", "deb", "rpm", "jar"),
        *("torrent", "css", "js", "json", "xml", "rss", "atom", "csv", "ttf", "woff"),
    ]
)
"""Extensions of pictures, sound, video, documents, archives and data: no pages of text."""

T = TypeVar("T")
CACHED_HOSTS = 1 << 16


class SiteLookup(Generic[T]):
    """A value per site. It holds for the site's hosts, except below a more specific site.

    >>> sites = SiteLookup({"example.com": 1, "docs.example.com": 2})
    >>> [sites.get(host) for host in ("www.example.com", "docs.example.com", "example.org")]
    [1, 2, None]
    """

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = {name.strip().lower().strip("."): value for name, value in values.items()}
        self._cache: dict[str, T | None] = {}

    def get(self, host: str) -> T | None:
        """The value of the most specific site that the host belongs to, or None."""
        try:
            return self._cache[host]
        except KeyError:
            labels = host.rstrip(".").split(".")
            names = (".".join(labels[i:]) for i in range(len(labels)))
            value = next((self._values[name] for name in names if name in self._values), None)
        if len(self._cache) < CACHED_HOSTS:
            self._cache[host] = value
        return value


def policy_sites(policy: str) -> tuple[str, ...]:
    """The sites that a policy leaves out: a name of POLICIES, or a file with one site per line and # for comments."""
    return POLICIES[policy] if policy in POLICIES else read_names(policy, f"one of {', '.join(POLICIES)}, or a file of sites")


def read_names(path: str, expected: str) -> tuple[str, ...]:
    """The lines of a list file, without comments and blanks.

    Raises InputError where the file is missing or names nothing; its message asks for what is `expected`.
    """
    if not files.exists(path):
        raise InputError(f"{path}: no such file; give {expected}")
    lines = files.read_bytes(path).decode("utf-8-sig", "replace").splitlines()
    names = tuple(name for line in lines if (name := line.split("#")[0].strip()))
    if not names:
        raise InputError(f"{path}: names nothing; give {expected}")
    return names


def read_subreddits(path: str) -> frozenset[str]:
    """The subreddits of a list file, in lower case and without `r/`. Raises InputError as `read_names` does."""
    names = read_names(path, "a file of subreddits, one per line")
    return frozenset(name.lower().removeprefix("/").removeprefix("r/") for name in names)


def media_extension(url: str) -> str | None:
    """The extension of a URL's path if it is one of MEDIA_EXTENSIONS, else None.

    >>> media_extension("http://example.com/a.PDF?x=1"), media_extension("http://example.com/a.html")
    ('pdf', None)
    """
    path = url.partition("#")[0] if "#" in url else url
    path = path.partition("?")[0] if "?" in path else path
    dot = path.rfind(".", -8)
    if dot < 0:
        return None
    extension = path[dot + 1 :].lower()
    return extension if extension in MEDIA_EXTENSIONS and path.count("/") > 2 else None
