import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import quality
from pipeline.documents.quality import FILTERS, QualityFilter

WORDS = re.findall(
    r"\w+",
    """the morning had come and with it all that people have to carry up from their boats before rain can spoil what nets brought home
    while gulls keep watch over every basket of silver herring that is left alone for longer than a moment on our old stone pier""",
)
SENTENCES = [f"{' '.join(WORDS[(i * 7 + j * (i + 1)) % len(WORDS)] for j in range(12))} number {i}." for i in range(14)]
PROSE = "\n".join(SENTENCES)
ANYTHING = st.text(st.characters(codec="utf-8"), max_size=400)

DROPPED = [
    ("gopher", "too few words here", "gopher_words"),
    ("gopher", " ".join(["extraordinarily"] * 60), "gopher_word_length"),
    ("gopher", PROSE + " #" * 60, "gopher_hashes"),
    ("gopher", "\n".join(f"- {s}" for s in SENTENCES), "gopher_bullets"),
    ("gopher", "\n".join(f"{s[:-1]}..." for s in SENTENCES), "gopher_ellipses"),
    ("gopher", PROSE + " 123 456" * 40, "gopher_letters"),
    ("gopher", " ".join(f"lorem{i} ipsum{i}" for i in range(40)), "gopher_stop_words"),
    ("gopher", PROSE + "\n" + "\n".join(["a line with some words"] * 12), "gopher_duplicate_lines"),
    ("gopher", PROSE + " " + "very good " * 40, "gopher_top_2_gram"),
    ("c4", "function() { return 1; }\n" + PROSE, "c4_brace"),
    ("c4", PROSE + "\nLorem Ipsum dolor.", "c4_lorem_ipsum"),
    ("c4", "\n".join(SENTENCES[:2]), "c4_sentences"),
    ("c4", quality.c4_lines("\n".join(f"{s} We use cookies." for s in SENTENCES))[0], "c4_sentences"),
    ("fineweb", "\n".join(s[:-1] for s in SENTENCES), "fineweb_line_ends"),
    ("fineweb", "\n".join(["Short line.", "Another one."] * 9 + SENTENCES[:2]), "fineweb_short_lines"),
    ("fineweb", "\n".join(SENTENCES + SENTENCES[:4]), "fineweb_duplicate_lines"),
]


@pytest.mark.parametrize("quality_filter", QualityFilter)
def test_prose_is_kept(quality_filter: QualityFilter) -> None:
    assert quality_filter.judge(PROSE) is None


@pytest.mark.parametrize(("name", "text", "rule"), DROPPED)
def test_each_rule_drops_its_kind_of_text(name: str, text: str, rule: str) -> None:
    detail = FILTERS[name].judge(text)
    assert detail is not None
    assert detail.split(":")[0] == rule


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_no_filter_raises_on_any_text(text: str) -> None:
    for quality_filter in QualityFilter:
        assert quality_filter.judge(text) is None or ":" in str(quality_filter.judge(text))


FUNCTION = """def shouting(text: str) -> str | None:
    return "shouting: 1" if text.isupper() else None


"""
PROGRAM = """
from dataclasses import fields
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.settings import DocumentsSettings
from pipeline.records import RawPage
settings = DocumentsSettings(filters=("shouting",), languages=("all",))
print(next(field.metadata["text"] for field in fields(settings) if field.name == "filters"))
with Sandbox(settings.rules(), settings.limits()) as sandbox:
    for page in (b"<p>THE SHIP CAME IN WITH THE TIDE. " * 20, b"<p>The ship came in with the tide. " * 20):
        result = sandbox.extract(RawPage("http://example.org/", page)).result
        print(getattr(result, "reason", "kept"), getattr(result, "detail", ""))
"""


def run_with_filter(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """PROGRAM in a copy of the package that has FUNCTION and one more line in the registry."""
    shutil.copytree(Path(quality.__file__).parents[1], folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "pipeline" / "documents" / "quality.py"
    source = module.read_text()
    last = '    FINEWEB = "fineweb", fineweb\n'
    assert last in source
    module.write_text(source.replace("@unique\n", f"{FUNCTION}@unique\n").replace(last, f"{last}    {line}\n"))
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_new_filter_needs_one_function_and_one_line(tmp_path: Path) -> None:
    done = run_with_filter(tmp_path, 'SHOUTING = "shouting", shouting')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "published quality filters to apply: gopher, c4, fineweb, shouting",
        "shouting shouting: 1",
        "kept ",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('SHOUTING = "language", shouting', "another reason of the stage has this word; choose another word for the filter"),
        ('SHOUTING = "gopher", shouting', "SHOUTING -> GOPHER"),
    ],
)
def test_filter_with_the_word_of_another_reason_fails_at_import(tmp_path: Path, line: str, message: str) -> None:
    done = run_with_filter(tmp_path, line)
    assert done.returncode != 0
    assert message in done.stderr


CHINESE = """古老的灯塔矗立在岩石上，几百年来一直守护着船只，附近村庄的人们都知道它的故事。每天晚上，守塔人都会爬上楼梯点亮灯火。
他从父亲那里学会了看云，也教女儿认识它们的名字，直到她也能独自在海边预报天气。
暴风雨卷走了两个屋顶和一座码头，可是灯一直亮着，从来没有人见过它熄灭！
冬天的几个星期里，通往村子的路被大雪封住了，只有送面包和油的小船还会来。"""
JAPANESE = """古い灯台は岩の上に立ち、何百年も船を守ってきたので、近くの村の人々はみなその物語を知っている。
毎晩、灯台守は階段を上り、大きな緑色の帳面に天気を書きつけてから明かりをともした。
冬の数週間は村への道が閉ざされ、パンと油を運んでくる小さな船だけがやって来た。"""
KOREAN = """오래된 등대는 바위 위에 서서 수백 년 동안 배를 지켜 왔고 마을 사람들은 모두 그 이야기를 알고 있었다.
등대지기는 매일 저녁 계단을 올라가 커다란 초록색 공책에 날씨를 적고 불을 밝혔다.
겨울에는 몇 주 동안 마을로 가는 길이 막혀서 빵과 기름을 실은 배만 찾아왔다."""
HINDI = """पुराना प्रकाशस्तंभ चट्टान पर खड़ा था और सैकड़ों वर्षों से जहाजों की रक्षा करता रहा।
हर शाम रखवाला सीढ़ियाँ चढ़ता और एक बड़ी हरी किताब में मौसम लिखकर दीपक जलाता था।
सर्दियों में कई सप्ताह तक गाँव की सड़क बंद हो जाती थी और केवल नाव रोटी लाती थी॥"""
ARABIC = """كانت المنارة القديمة تقف على الصخرة وتحرس السفن منذ مئات السنين وكان أهل القرية يعرفون قصتها.
وكان الحارس يصعد الدرج كل مساء ويكتب حالة الطقس في كتاب أخضر كبير ثم يشعل الضوء.
وفي الشتاء كان الطريق إلى القرية يغلق لأسابيع، فمن كان يزوره غير القارب الذي يحمل الخبز؟"""
URDU = """پرانا مینار چٹان پر کھڑا تھا اور سینکڑوں سال سے جہازوں کی حفاظت کر رہا تھا اور گاؤں کے لوگ اس کی کہانی جانتے تھے۔
ہر شام رکھوالا سیڑھیاں چڑھتا اور ایک بڑی سبز کتاب میں موسم لکھ کر چراغ جلاتا تھا۔
سردیوں میں کئی ہفتوں تک گاؤں کی سڑک بند رہتی تھی اور صرف کشتی روٹی لاتی تھی۔"""
THAI = """ประภาคารเก่าตั้งอยู่บนหน้าผาและเฝ้าดูเรือมาหลายร้อยปี ชาวบ้านทุกคนรู้จักเรื่องราวของมัน
ทุกเย็นผู้ดูแลจะเดินขึ้นบันไดและจดสภาพอากาศลงในสมุดเล่มใหญ่สีเขียวแล้วจึงจุดไฟ
ในฤดูหนาวถนนไปหมู่บ้านถูกปิดหลายสัปดาห์และมีเพียงเรือที่นำขนมปังมาเยือน"""
GERMAN = """Der alte Leuchtturm stand auf dem Felsen und hütete seit Jahrhunderten die Schiffe, und jeder im Dorf kannte seine Geschichte.
Jeden Abend stieg der Wärter die Treppe hinauf und schrieb das Wetter in ein großes grünes Buch, bevor er die Lampe anzündete.
Im Winter war die Straße ins Dorf wochenlang gesperrt, und nur das Boot mit Brot und Öl kam zu Besuch."""
ARMENIAN = """Հին փարոսը կանգնած էր ժայռի վրա և հարյուրավոր տարիներ պահպանում էր նավերը։
Ամեն երեկո պահապանը բարձրանում էր աստիճաններով և վառում էր լույսը ծովի վրա։
Ձմռանը գյուղի ճանապարհը շաբաթներով փակ էր, և միայն նավակն էր հաց բերում։"""
AMHARIC = """አሮጌው የመብራት ግንብ በድንጋዩ ላይ ቆሞ ለብዙ መቶ ዓመታት መርከቦችን ይጠብቅ ነበር።
ጠባቂው በየምሽቱ ደረጃውን ወጥቶ የአየሩን ሁኔታ በትልቅ አረንጓዴ መጽሐፍ ይጽፍ ነበር።
በክረምት ወደ መንደሩ የሚወስደው መንገድ ለሳምንታት ይዘጋ ነበር ዳቦ የሚያመጣው ጀልባ ብቻ ነበር።"""
LANGUAGES = {"zh": CHINESE, "ja": JAPANESE, "ko": KOREAN, "hi": HINDI, "ar": ARABIC, "ur": URDU, "th": THAI, "de": GERMAN, "hy": ARMENIAN,
             "am": AMHARIC}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_prose_of_any_script_is_kept(language: str) -> None:
    text = LANGUAGES[language]
    assert quality.fineweb(text) is None
    assert quality.c4_lines(text) == (text, 0)
    assert quality.c4(text) is None
    longer = (
        "\n".join(f"{line} {number}" for number, line in enumerate([*text.split("\n"), PROSE.split("\n")[0]]))
        if language == "de"
        else text
    )
    assert FILTERS["gopher"].reason(longer, language) is None or len(quality.split_words(text)) < 50


@pytest.mark.parametrize("language", LANGUAGES)
def test_lines_without_a_stop_are_removed_in_any_script(language: str) -> None:
    if language == "th":
        return  # Thai has no stop
    text = "\n".join(line.rstrip("。！।॥۔.؟?։።") for line in LANGUAGES[language].split("\n"))
    assert quality.c4_lines(text)[0] == ""
    assert str(quality.fineweb(text)).startswith("fineweb_line_ends")


def test_gopher_judges_other_languages_without_english_stop_words() -> None:
    german = f"{GERMAN}\n{GERMAN.translate(str.maketrans('aeiou', 'eioua'))}"
    assert str(quality.gopher(german)).startswith("gopher_stop_words")
    assert FILTERS["gopher"].reason(german, "de") is None
    assert FILTERS["gopher"].reason(german, "en") == quality.gopher(german)
    assert str(FILTERS["gopher"].reason("ein wort " * 60, "de")).startswith("gopher_top_2_gram")
    assert str(FILTERS["gopher"].reason("短い", "ja")).startswith("gopher_words")
