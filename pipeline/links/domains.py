"""Which hosts a corpus leaves out: Reddit's own, media files, and the two published policies or a file of one's own."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from pipeline.storage import files
from pipeline.storage.files import InputError

REDDIT = ("reddit.com", "redd.it", "redditmedia.com", "redditstatic.com", "reddituploads.com")
"""Reddit's own hosts: discussions, galleries, v.redd.it videos, i.redd.it pictures. No outbound link leads there."""

OPENWEBTEXT = (
    *("aapks.com", "bandcamp.com", "battleforthenet.com", "deviantart.com", "discord.gg", "dlapkandroid.org", "ebay.com"),
    *("edealinfo.com", "erome.com", "facebook.com", "flic.kr", "flickr.com", "gfycat.com", "giphy.com", "github.com"),
    *("google.com", "gunprime.com", "gyazo.com", "hotdealstar.com", "imgflip.com", "imgur.com", "instagram.com"),
    *("itunes.apple.com", "magaimg.net", "pinterest.com", "pornhub.com", "roanoke.com", "rollingstone.com", "sli.mg"),
    *("soundcloud.com", "spotify.com", "spotrac.com", "strawpoll.me", "streamable.com", "timeanddate.com", "twimg.com"),
    *("twitch.tv", "twitter.com", "vimeo.com", "voyagefusion.com", "walmart.com", "wikipedia.org", "xkcd.com", "youtu.be"),
    *("youtube.com", "youtubedoubler.com"),
)
"""Those of jcpeterson/openwebtext (url_utils.py at 2a8aab2) beside Reddit's own: hosts with little text, and large ones in WebText."""

POLICIES: dict[str, tuple[str, ...]] = {"webtext": (), "openwebtext": OPENWEBTEXT}
"""By name. WebText's published 1,000 most frequent domains have google first and github fourth: it blocked no host that we know of. GPT-2's
model card (November 2019) tells of a blocklist of subreddits with offensive content, never published: `--without_subreddits` takes one.
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
"""Paths that end so name pictures, sound, video, documents, archives and data: no pages of text."""

T = TypeVar("T")
HOSTS_REMEMBERED = 1 << 16


class Sites(Generic[T]):
    """What is said of sites, by name: it holds for their hosts, and for hosts below them where nothing is said of those."""

    def __init__(self, said: Mapping[str, T]) -> None:
        self._said = {name.strip().lower().strip("."): value for name, value in said.items()}
        self._known: dict[str, T | None] = {}

    def get(self, host: str) -> T | None:
        """What is said of a host, if anything."""
        try:
            return self._known[host]
        except KeyError:
            labels = host.rstrip(".").split(".")
            names = (".".join(labels[i:]) for i in range(len(labels)))
            said = next((self._said[name] for name in names if name in self._said), None)
        if len(self._known) < HOSTS_REMEMBERED:
            self._known[host] = said
        return said


def policy_sites(policy: str) -> tuple[str, ...]:
    """The sites that a policy (a name or a file, one site a line, # for comments) leaves out."""
    return POLICIES[policy] if policy in POLICIES else read_names(policy, f"one of {', '.join(POLICIES)}, or a file of sites")


def read_names(path: str, wanted: str) -> tuple[str, ...]:
    """The lines of a list file, without comments and blanks. Raises InputError where there is none, saying what is `wanted`."""
    if not files.exists(path):
        raise InputError(f"{path}: no such file; give {wanted}")
    lines = files.read_bytes(path).decode("utf-8-sig", "replace").splitlines()
    return tuple(name for line in lines if (name := line.split("#")[0].strip()))


def media_extension(url: str) -> str | None:
    """The extension, where a URL's path ends in one of pictures, sound, video, documents, archives or data.

    >>> media_extension("http://example.com/a.PDF?x=1"), media_extension("http://example.com/a.html")
    ('pdf', None)
    """
    path = url.partition("#")[0].partition("?")[0]
    extension = path[-8:].rpartition(".")[2].lower()
    return extension if extension in MEDIA_EXTENSIONS and path.count("/") > 2 else None
