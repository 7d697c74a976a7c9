"""The labels that the language model can give: known without the model, so that a mistyped one is refused before any work."""

from collections.abc import Iterable
from typing import Final

LANGUAGES: Final = frozenset(
    [
        *("ace", "af", "am", "an", "ar", "ary", "arz", "as", "az", "ba", "bcl", "be", "bg", "bn", "br", "bs", "ca", "crh"),
        *("cs", "cy", "da", "de", "dz", "el", "en", "eo", "es", "et", "eu", "ext", "fa", "fi", "fo", "fr", "fuv", "fy"),
        *("ga", "gcf", "gcr", "gd", "gl", "gom", "grc", "gu", "gug", "guw", "ha", "hbo", "he", "hi", "hr", "ht", "hu"),
        *("hy", "id", "ig", "is", "it", "ja", "jv", "ka", "kab", "kik", "kk", "km", "kn", "ko", "ku", "ky", "la", "lb"),
        *("lg", "lij", "ln", "lo", "lt", "ltg", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn"),
        *("no", "nso", "oc", "om", "or", "pa", "pcm", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa", "sdh", "se", "si"),
        *("sk", "sl", "sn", "so", "sq", "sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk"),
        *("ur", "uz", "uzs", "vec", "vi", "vo", "wa", "wuu", "xh", "yo", "yue", "zh", "zu", "zxx"),
    ]
)
"""ISO 639 codes, most of them of two letters; zxx is text without language."""


def check_labels(labels: Iterable[str]) -> None:
    """Raise ValueError for a label that the model never gives: it would drop every page."""
    for label in labels:
        if label not in LANGUAGES:
            known = next((name for name in (label.lower(), label.lower()[:2]) if name in LANGUAGES), None)
            hint = f"write {known}, or another ISO 639-1 code" if known else "give ISO 639-1 codes, such as en de zh"
            raise ValueError(f"{label}: no page has this language; {hint}")
