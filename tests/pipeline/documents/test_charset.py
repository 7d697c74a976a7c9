"""Charsets of whole pages: declared in each way, or guessed."""

import json
import lzma
import random
import unicodedata
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import charset


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=20)))
def test_any_bytes_become_writable_text(body: bytes, declared: str | None) -> None:
    text, _ = charset.decode(body, declared)
    cleaned = charset.clean(text)
    assert cleaned.encode().decode() == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert "\0" not in cleaned


@pytest.mark.parametrize(("body", "declared", "text", "encoding"), [
    ("é".encode(), None, "é", "utf-8"),
    (b"\xe9", "latin1", "é", "windows-1252"),
    (b"\x93quoted\x94", "iso-8859-1", "“quoted”", "windows-1252"),
    ("日本".encode("shift_jis"), "Shift_JIS", "日本", "shift_jis"),
    (b"<meta charset=windows-1251>" + "Привет".encode("cp1251"), None, "<meta charset=windows-1251>Привет", "windows-1251"),
    ("<meta charset=gb2312>中文".encode("gbk"), None, "<meta charset=gb2312>中文", "gb18030"),
    ("<meta charset=latin1>déjà".encode(), None, "<meta charset=latin1>déjà", "utf-8"),
    (b"\xef\xbb\xbfhello", "windows-1252", "hello", "utf-8"),
    ("\ufeffhé".encode("utf-16-be"), None, "hé", "utf-16be"),
    (b"<meta charset=utf-16>plain", None, "<meta charset=utf-16>plain", "utf-8"),
    (b"abc", "punycode", "abc", "utf-8"),
    (b"abc", "u\x00tf", "abc", "utf-8"),
    (b"abc", "utf-16", "abc", "utf-8"),
    ("<p>\u0433".encode("utf-16le"), None, "<p>\u0433", "utf-16le"),
    ("<p>\u0433".encode("utf-16be"), "utf-16be", "<p>\u0433", "utf-16be"),
    (b"<p>\x1b$B-!\x1b(B", "utf-8", "<p>①", "iso-2022-jp"),
    ("long text, é and ü and ö".encode() + b"\xff", "utf-8", "long text, é and ü and ö\ufffd", "utf-8"),
])  # fmt: skip
def test_bytes_are_decoded_as_browsers_do(body: bytes, declared: str | None, text: str, encoding: str) -> None:
    assert charset.decode(body, declared) == (text, encoding)


POLISH = "Zażółć gęślą jaźń, stara latarnia stoi na skale i strzeże statków."
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy, starý maják stál na skále."
RUSSIAN = "Старый маяк стоял на скале и много лет охранял корабли, а смотритель зажигал огонь."
GREEK = "Ο παλιός φάρος στεκόταν στον βράχο και φύλαγε τα πλοία, και ο φύλακας άναβε το φως."
ARABIC = "كانت المنارة القديمة تقف على الصخرة وتحرس السفن منذ مئات السنين."
HEBREW = "המגדלור הישן עמד על הסלע ושמר על האוניות במשך מאות שנים."
TURKISH = "Eski deniz feneri kayanın üstünde duruyor ve gemileri koruyordu, bekçi ışığı yakardı."
LITHUANIAN = "Senasis švyturys stovėjo ant uolos ir šimtus metų saugojo laivus, o sargas kiekvieną vakarą užžiebdavo šviesą."
LATVIAN = "Vecā bāka stāvēja uz klints un daudzus gadus sargāja kuģus, un sargs iededza uguni."
GERMAN = "Der alte Leuchtturm stand auf dem Felsen und hütete die Schiffe, übergroß und schön."
FRENCH = "Le vieux phare se dressait sur le rocher et protégeait les bateaux; le gardien, âgé, montait à l'étage."
ESPERANTO = "La malnova lumturo staris sur la roko kaj ĉiuvespere la gardisto ŝaltis la lumon, ĝis la ĵaŭda mateno."
WELSH = "Safai'r hen oleudy ar y graig, ac roedd y ceidwad yn cynnau'r golau bob nos; dŵr a gŵr, tŷ a chŵn."
ROMANIAN = "Vechiul far stătea pe stâncă și păzea corăbiile, iar paznicul aprindea lumina în fiecare seară, țanțoș."
VIETNAMESE = "Tôi đi đê\u0301n bê\u0301n câu, và âm thanh ơ\u0309 đó râ\u0301t êm."
THAI = "ประภาคารเก่าตั้งอยู่บนหน้าผาและเฝ้าดูเรือมาหลายร้อยปี ทุกเย็นผู้ดูแลจะเดินขึ้นบันไดและจุดไฟ"
JAPANESE = "古い灯台は岩の上に立ち、何百年も船を守ってきた。毎晩、灯台守は階段を上り、明かりをともした。"
CHINESE = "古老的灯塔矗立在岩石上，几百年来一直守护着船只。每天晚上，守塔人都会爬上楼梯点亮灯火。"
TRADITIONAL = "古老的燈塔矗立在岩石上，幾百年來一直守護著船隻。每天晚上，守塔人都會爬上樓梯點亮燈火。"
KOREAN = "오래된 등대는 바위 위에 서서 수백 년 동안 배를 지켜 왔다. 등대지기는 매일 저녁 불을 밝혔다."
UKRAINIAN = "Старий маяк стояв на скелі й багато років охороняв кораблі, а наглядач щовечора їх бачив і запалював вогонь."

DECLARED = (
    ("utf-8", "utf-8", GREEK), ("UTF8", "utf-8", CHINESE), ("ibm866", "cp866", RUSSIAN), ("cp866", "cp866", RUSSIAN),
    ("iso-8859-1", "cp1252", GERMAN), ("latin1", "cp1252", FRENCH), ("us-ascii", "cp1252", GERMAN), ("ISO_8859-1", "cp1252", FRENCH),
    ("iso-8859-2", "iso8859-2", POLISH), ("latin2", "iso8859-2", CZECH), ("iso8859-2", "iso8859-2", POLISH),
    ("iso-8859-3", "iso8859-3", ESPERANTO), ("latin3", "iso8859-3", ESPERANTO), ("iso-8859-4", "iso8859-4", LATVIAN),
    ("iso-8859-5", "iso8859-5", RUSSIAN), ("cyrillic", "iso8859-5", RUSSIAN), ("iso-8859-6", "iso8859-6", ARABIC),
    ("arabic", "iso8859-6", ARABIC), ("iso-8859-7", "iso8859-7", GREEK), ("greek", "iso8859-7", GREEK), ("elot_928", "iso8859-7", GREEK),
    ("iso-8859-8", "iso8859-8", HEBREW), ("iso-8859-8-i", "iso8859-8", HEBREW), ("visual", "iso8859-8", HEBREW),
    ("iso-8859-9", "cp1254", TURKISH), ("latin5", "cp1254", TURKISH), ("iso-8859-10", "iso8859-10", LATVIAN),
    ("iso-8859-11", "cp874", THAI), ("tis-620", "cp874", THAI), ("iso-8859-13", "iso8859-13", LITHUANIAN),
    ("iso-8859-14", "iso8859-14", WELSH), ("iso-8859-15", "iso8859-15", FRENCH), ("latin9", None, FRENCH), ("l9", "iso8859-15", FRENCH),
    ("iso-8859-16", "iso8859-16", ROMANIAN), ("koi8-r", "koi8-r", RUSSIAN), ("koi", "koi8-r", RUSSIAN), ("koi8-u", "koi8-u", UKRAINIAN),
    ("macintosh", "mac_roman", FRENCH), ("x-mac-roman", "mac_roman", GERMAN), ("x-mac-cyrillic", "mac_cyrillic", RUSSIAN),
    ("windows-874", "cp874", THAI), ("windows-1250", "cp1250", POLISH), ("x-cp1250", "cp1250", CZECH), ("windows-1251", "cp1251", RUSSIAN),
    ("x-cp1251", "cp1251", UKRAINIAN), ("windows-1252", "cp1252", FRENCH), ("windows-1253", "cp1253", GREEK),
    ("windows-1254", "cp1254", TURKISH), ("windows-1255", "cp1255", HEBREW), ("windows-1256", "cp1256", ARABIC),
    ("windows-1257", "cp1257", LITHUANIAN), ("windows-1258", "cp1258", VIETNAMESE), ("gb2312", "gbk", CHINESE), ("gbk", "gbk", CHINESE),
    ("gb18030", "gb18030", CHINESE), ("big5", "big5", TRADITIONAL), ("big5-hkscs", "big5hkscs", TRADITIONAL),
    ("shift_jis", "cp932", JAPANESE),
    ("windows-31j", "cp932", JAPANESE),
    ("euc-jp", "euc_jp", JAPANESE), ("iso-2022-jp", "iso2022_jp", JAPANESE),
    ("euc-kr", "cp949", KOREAN), ("ks_c_5601-1987", "cp949", KOREAN), ("ksc5601", "cp949", KOREAN),
)  # fmt: skip
"""A label, Python's codec for it (None where the standard has no such label), and a text: more than sixty."""


@pytest.mark.parametrize(("label", "codec", "text"), DECLARED, ids=[label for label, _, _ in DECLARED])
def test_a_declared_encoding_is_read_from_meta_header_and_xml(label: str, codec: str | None, text: str) -> None:
    if codec is None:
        assert charset.decode(b"<p>abc", label) == ("<p>abc", "utf-8")
        return
    metas = (f"<meta charset='{label}'>", f'<meta content="text/html;charset={label}" http-equiv=content-type>')
    for head in (*metas, f'<?xml version="1.0" encoding="{label}"?>'):
        page = f"<html>{head}<p>{text}</p>" if head in metas else f"{head}<p>{text}</p>"
        assert charset.decode(page.encode(codec), None)[0] == page
    page = f"<html><meta charset=koi8-r><p>{text}</p>"
    assert charset.decode(page.encode(codec), f" {label.upper()}")[0] == page


@pytest.mark.parametrize("codec", ["utf-8", "utf-16le", "utf-16be"])
@pytest.mark.parametrize("declared", [None, "utf-8", "utf-16", "iso-8859-1", "big5"])
def test_a_byte_order_mark_wins_over_every_declaration(codec: str, declared: str | None) -> None:
    page = f"<html><meta charset=koi8-r><p>{RUSSIAN}</p>"
    assert charset.decode(("\ufeff" + page).encode(codec), declared) == (page, codec)


UNDECLARED = (
    *("windows-1250 pl", "windows-1251 ru", "windows-1252 de", "windows-1253 el", "windows-1254 tr", "windows-1255 he"),
    *(
        "windows-1256 ar",
        "windows-1257 lt",
        "windows-1258 vi",
        "windows-874 th",
        "iso-8859-2 hu",
        "iso-8859-3 eo",
        "iso-8859-4 et",
    ),
    *("iso-8859-5 ru", "iso-8859-6 ar", "iso-8859-7 el", "iso-8859-8 he", "iso-8859-10 is", "iso-8859-13 lt", "iso-8859-14 ga"),
    *("iso-8859-15 fr", "iso-8859-16 ro", "koi8-r ru", "koi8-u uk", "ibm866 ru", "shift_jis ja", "euc-jp ja", "iso-2022-jp ja"),
    *("gb18030 zh", "big5 zh", "euc-kr ko"),
)
SENTENCES = (1, 5, 30)
PYTHON = {"shift_jis": "cp932", "euc-kr": "cp949", "windows-874": "cp874", "big5": "big5hkscs"}


def test_undeclared_encodings_are_guessed(shared_data: Path) -> None:
    """Real sentences of the encoding's language, in pages that declare nothing and in pages that declare UTF-8 wrongly."""
    sentences = defaultdict(list)
    with lzma.open(shared_data / "langid" / "sentences.jsonl.xz", "rt") as lines:
        for row in map(json.loads, lines):
            sentences[row["lang"]].append(unicodedata.normalize("NFC", row["text"]).replace("〜", "～"))
    wrong = []
    for pair in UNDECLARED:
        encoding, language = pair.split()
        for number in SENTENCES:
            page = _page(sentences[language], PYTHON.get(encoding, encoding), number)
            body = page.encode(PYTHON.get(encoding, encoding))
            wrong += [(pair, number, declared) for declared in (None, "utf-8") if charset.decode(body, declared)[0] != page]
    assert len(UNDECLARED) * len(SENTENCES) == 93
    for declared in (None, "utf-8"):
        assert sum(case[2] == declared for case in wrong) <= 5, wrong


def _page(sentences: list[str], codec: str, number: int) -> str:
    """A page of sentences that the codec can write, and that are more than ASCII."""
    shuffled = random.Random(number).sample(sentences, len(sentences))
    chosen = [s for s in shuffled if not s.isascii() and s.encode(codec, errors="ignore").decode(codec) == s]
    return f"<html><title>x</title><p>{' '.join(chosen[:number])}</p>"


def test_a_short_text_is_found_in_much_markup() -> None:
    script = "<script>window.dataLayer = window.dataLayer || [];</script>\n" * 2000
    page = f"<html>{script}<p>{GREEK}</p>{script}"
    assert charset.decode(page.encode("iso8859-7"), None)[0] == page


@pytest.mark.parametrize(("text", "clean"), [
    ("It\x92s", "It’s"), ("a\x97b", "a—b"), ("\x93wait\x94", "“wait”"), ("\x80 5", "€ 5"), ("so\x85", "so…"), ("\x95 point", "• point"),
    ("1999\x962000", "1999–2000"), ("\x8cuvre", "Œuvre"), ("\x9eena", "žena"), ("A\x99", "A™"), ("a\x81b\x8d\x8f\x90\x9d", "ab"),
    ("\x83", "ƒ"),
])  # fmt: skip
def test_c1_controls_are_read_as_windows_1252(text: str, clean: str) -> None:
    assert charset.clean(text) == clean
    assert charset.decode(text.encode(), None)[0] == clean


def test_texts_are_composed_as_unicode_says(shared_data: Path) -> None:
    rows = json.loads((shared_data / "standards" / "normalization" / "normalization.json").read_text())["vectors"]
    known = [row for row in rows if all(unicodedata.category(character) != "Cn" for character in row[0])]
    assert len(rows) - len(known) < 100  # of a later Unicode than this Python's
    wrong = [row for row in known for text in row[:3] if charset.clean(text) != row[1]]
    assert [row for row in wrong if row[1] == charset.REMOVED.sub("", row[1])] == []
