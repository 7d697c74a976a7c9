import pytest

from pipeline.documents.blocks.formulas import replace_mathml, tex_of
from pipeline.documents.blocks.page import text_of


@pytest.mark.parametrize(("mathml", "tex"), [
    ("<math><mi>a</mi><mo>&#8800;</mo><mn>0</mn></math>", r"a \ne 0"),
    ("<math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac></math>", r"\frac{a}{b + 1}"),
    ("<math><msup><mi>x</mi><mn>2</mn></msup><mo>≤</mo><msqrt><mi>α</mi></msqrt></math>", r"x^{2} \le \sqrt{\alpha}"),
    ("<math><msubsup><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></msubsup><msub><mi>a</mi><mi>i</mi></msub></math>",
     r"\sum_{i = 1}^{n} a_{i}"),
    ("<math><mroot><mi>x</mi><mn>3</mn></mroot><mi>sin</mi><mi>θ</mi></math>", r"\sqrt[3]{x} \sin \theta"),
    ("<math><mfenced><mi>a</mi><mi>b</mi></mfenced><mtext>for all</mtext></math>", r"(a, b) \text{for all}"),
    ("<math><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr>"
     "<mtr><mtd><mn>0</mn></mtd><mtd><mn>1</mn></mtd></mtr></mtable></math>",
     r"\begin{matrix} 1 & 0 \\ 0 & 1 \end{matrix}"),
    ("<math><mover><mi>x</mi><mo>→</mo></mover></math>", r"\vec{x}"),
    ('<math alttext="{\\displaystyle E=mc^{2}}"><mi>E</mi></math>', "E=mc^{2}"),
    ('<math><semantics><mi>a</mi><annotation encoding="application/x-tex">a \\le b &amp; c</annotation></semantics></math>',
     r"a \le b & c"),
    ("<mml:math><mml:mi>a</mml:mi><mml:mo>&lt;</mml:mo><mml:mi>b</mml:mi></mml:math>", "a < b"),
    ("<math>loose</math>", "loose"), ("<math></math>", ""),
])  # fmt: skip
def test_mathml_becomes_tex(mathml: str, tex: str) -> None:
    assert tex_of(mathml) == tex
    assert text_of(f"<p>When {mathml}: so</p>") == f"When {tex}: so"


@pytest.mark.parametrize(("markup", "text"), [
    (r'When <script type="math/tex">a \ne 0</script>, so', r"When a \ne 0, so"),
    (r'<script type="math/tex; mode=display">% <![CDATA[ a &lt; b %]]></script>', "a < b"),
    (r'<img class="latex" alt="a \ne 0" src="latex.php?x">', r"a \ne 0"),
    (r'<img alt="x^2" src="https://latex.codecogs.com/gif.latex?x">', "x^2"),
    (r'<img class=tex alt="x+y">', "x+y"), (r'<img alt="\frac{a}{b}">', r"\frac{a}{b}"),
    (r'<img class="mwe-math-fallback-image-inline" alt="{\displaystyle x^2}">', "x^2"),
    (r'x<img alt="C:\temp\pictures">', "x"), (r'x<img alt="a ship">', "x"),
    ('<span class="katex"><span class="katex-mathml"><math><mi>a</mi>'
     '<annotation encoding="application/x-tex">a^b</annotation></math></span>'
     '<span class="katex-html" aria-hidden="true"><span>ab</span></span></span>!', "a^b!"),
    ('<span style="display: none" class="mwe-math-mathml-inline"><math alttext="{\\displaystyle x^{2}}"><mi>x</mi></math></span>'
     '<img class="mwe-math-fallback-image-inline" alt="{\\displaystyle x^{2}}">', "x^{2}"),
    (r'<span class="MathJax_Preview">?</span><span class="MathJax">ab</span><script type="math/tex">a_b</script>', "a_b"),
])  # fmt: skip
def test_formula_stands_once_in_its_sentence(markup: str, text: str) -> None:
    assert text_of(markup) == text


def test_formulas_without_end_take_no_text() -> None:
    markup = "<math>text " * 400
    assert replace_mathml(markup) == markup
    assert len(text_of(markup).split()) == 400
