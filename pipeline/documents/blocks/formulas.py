r"""Formulas in MathML, as TeX: from the TeX that comes with them where there is one, else from their elements.

The scan itself reads MathJax's scripts and the alternative text of pictures of formulas.
"""

import re
from collections.abc import Callable, Iterable
from html import escape, unescape
from typing import Final

from lxml.etree import LxmlError
from lxml.html import HtmlElement, fragment_fromstring

START: Final = re.compile(r"<(?:\w{1,8}:)?math(?=[\s>/])", re.IGNORECASE)
END: Final = re.compile(r"</(?:\w{1,8}:)?math\s*>", re.IGNORECASE)
ANNOTATION: Final = re.compile(
    r"<annotation\b[^>]{0,400}?encoding\s*=\s*[\"']?[^\"'>]{0,40}tex[^>]{0,400}>([^<]*)", re.IGNORECASE
)
ALT_TEXT: Final = re.compile(r"\balttext\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
DISPLAY_STYLE: Final = re.compile(r"\A\{\\displaystyle\s(.*)\}\Z", re.DOTALL)
PICTURE: Final = re.compile(r"<img\b[^>]{0,2000}mwe-math-fallback[^>]*>", re.IGNORECASE)
HIDDEN_COPY: Final = re.compile(r"<(span|div)\b[^>]{0,400}(?:mwe-math-mathml|MJX_Assistive)[^>]*>", re.IGNORECASE)
LONGEST: Final = 50_000
DEEPEST: Final = 60
NEXT_ROW: Final = r" \\ "

_SYMBOLS: Final = r"""
    ≠=\ne ≤=\le ≥=\ge ×=\times ÷=\div ·=\cdot ⋅=\cdot ±=\pm ∓=\mp ∞=\infty ∑=\sum ∏=\prod ∫=\int ∮=\oint √=\sqrt →=\to ←=\leftarrow
    ⇒=\Rightarrow ⇐=\Leftarrow ⇔=\Leftrightarrow ↔=\leftrightarrow ↦=\mapsto ∈=\in ∉=\notin ∋=\ni ⊂=\subset ⊆=\subseteq ⊃=\supset
    ⊇=\supseteq ∪=\cup ∩=\cap ∅=\emptyset ∀=\forall ∃=\exists ¬=\neg ∧=\wedge ∨=\vee ⊕=\oplus ⊗=\otimes ∂=\partial ∇=\nabla ≈=\approx
    ≡=\equiv ∼=\sim ≃=\simeq ≅=\cong ∝=\propto ≪=\ll ≫=\gg …=\ldots ⋯=\cdots ⋮=\vdots ⋱=\ddots ∘=\circ ∗=\ast −=- ∣=\mid ∥=\parallel
    ⊥=\perp ∠=\angle ⟨=\langle ⟩=\rangle ⌊=\lfloor ⌋=\rfloor ⌈=\lceil ⌉=\rceil ′=' ″='' ℏ=\hbar ℓ=\ell ℝ=\mathbb{R} ℂ=\mathbb{C}
    ℕ=\mathbb{N} ℤ=\mathbb{Z} ℚ=\mathbb{Q} α=\alpha β=\beta γ=\gamma δ=\delta ε=\epsilon ϵ=\epsilon ζ=\zeta η=\eta θ=\theta ι=\iota
    κ=\kappa λ=\lambda μ=\mu ν=\nu ξ=\xi π=\pi ρ=\rho σ=\sigma τ=\tau υ=\upsilon φ=\phi ϕ=\phi χ=\chi ψ=\psi ω=\omega Γ=\Gamma Δ=\Delta
    Θ=\Theta Λ=\Lambda Ξ=\Xi Π=\Pi Σ=\Sigma Φ=\Phi Ψ=\Psi Ω=\Omega
"""  # noqa: RUF001 (mathematical signs)
SYMBOLS: Final = dict(pair.split("=", 1) for pair in _SYMBOLS.split())
_FUNCTIONS: Final = "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim min max sup inf det gcd deg"
FUNCTIONS: Final = frozenset(_FUNCTIONS.split())
INVISIBLE: Final = frozenset("\u2061\u2062\u2063\u2064")
ACCENTS: Final = {
    "¯": "bar",
    "^": "hat",
    "\u02c6": "hat",
    "~": "tilde",
    "\u02dc": "tilde",
    "→": "vec",
    "˙": "dot",
    "¨": "ddot",
    "_": "underline",
}


def replace_mathml(markup: str) -> str:
    """The markup with each MathML formula as a span of its TeX.

    >>> replace_mathml("When <math><mi>a</mi><mo>&#8800;</mo><mn>0</mn></math>, it")
    'When <span>a \\\\ne 0</span>, it'
    """
    pieces, at = [], 0
    while (start := START.search(markup, at)) and (end := END.search(markup, start.end())):
        pieces += [markup[at : start.start()], f"<span>{escape(tex_of(markup[start.start() : end.end()]), quote=False)}</span>"]
        at = end.end()
    pieces.append(markup[at:])
    return PICTURE.sub("", HIDDEN_COPY.sub(r"<\1>", "".join(pieces))) if len(pieces) > 1 else markup


def tex_of(mathml: str) -> str:
    """The TeX of one <math> element: its annotation, its alternative text, or a translation of its elements."""
    head = mathml.partition(">")[0]
    if annotation := ANNOTATION.search(mathml):
        tex = unescape(annotation[1])
    elif alternative := ALT_TEXT.search(head):
        tex = unescape(alternative[1] or alternative[2] or "")
    else:
        tex = _translated(mathml[:LONGEST])
    tex = " ".join(tex.split())
    whole = DISPLAY_STYLE.match(tex)
    return whole[1].strip() if whole else tex


def _translated(mathml: str) -> str:
    try:
        return _tex(fragment_fromstring(mathml), 0)
    except (LxmlError, ValueError, TypeError):
        return unescape(re.sub(r"<[^>]*>", " ", mathml))


def _name(element: HtmlElement) -> str:
    return element.tag.rpartition(":")[2].lower() if isinstance(element.tag, str) else ""


def _tex(element: HtmlElement, depth: int) -> str:
    """The TeX of an element, and of all in it."""
    name = _name(element)
    if not name or name in ("annotation", "annotation-xml", "mphantom", "maligngroup", "malignmark"):
        return ""
    if name in ("mi", "mo", "mn", "mtext", "ms") or depth > DEEPEST:
        return _token(name, " ".join(element.text_content().split()))
    parts = [_tex(child, depth + 1) for child in element]
    if name in LAYOUTS and len(parts) >= LAYOUTS[name][0]:
        return LAYOUTS[name][1](parts)
    if name in ("msqrt", "menclose"):
        return rf"\sqrt{{{_join(parts)}}}" if name == "msqrt" else _join(parts)
    if name == "mfenced":
        between = (element.get("separators") or ",").strip()[:1]
        return f"{element.get('open', '(')}{f'{between} '.join(parts)}{element.get('close', ')')}"
    if name in ("mtr", "mlabeledtr"):
        return " & ".join(parts)
    if name == "mtable":
        return rf"\begin{{matrix}} {NEXT_ROW.join(parts)} \end{{matrix}}"
    text = [
        element.text or "",
        *(piece for child, part in zip(element, parts, strict=True) for piece in (part, child.tail or "")),
    ]
    return _join([piece.strip() for piece in text])


def _token(name: str, text: str) -> str:
    if name == "mi" and text in FUNCTIONS:
        return f"\\{text}"
    if name == "mtext" and text:
        return rf"\text{{{text}}}"
    if name == "mi" and len(text) > 1 and text.isascii() and text.isalpha():
        return rf"\mathrm{{{text}}}"
    kept = [SYMBOLS.get(character, character) for character in text if character not in INVISIBLE]
    return "".join(f"{piece} " if piece[:1] == "\\" and len(kept) > 1 else piece for piece in kept).strip()


def _join(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)


def _group(part: str) -> str:
    return f"{{{part}}}"


def _base(part: str) -> str:
    return _group(part) if " " in part else part


def _over(parts: list[str]) -> str:
    for mark, accent in ACCENTS.items():
        if parts[1] in (mark, SYMBOLS.get(mark)):
            return rf"\{accent}{{{parts[0]}}}"
    return f"{_base(parts[0])}^{_group(parts[1])}"


LAYOUTS: Final[dict[str, tuple[int, Callable[[list[str]], str]]]] = {
    "mfrac": (2, lambda parts: rf"\frac{_group(parts[0])}{_group(parts[1])}"),
    "mroot": (2, lambda parts: rf"\sqrt[{parts[1]}]{_group(parts[0])}"),
    "msub": (2, lambda parts: f"{_base(parts[0])}_{_group(parts[1])}"),
    "munder": (2, lambda parts: f"{_base(parts[0])}_{_group(parts[1])}"),
    "msup": (2, lambda parts: f"{_base(parts[0])}^{_group(parts[1])}"),
    "mover": (2, _over),
    "msubsup": (3, lambda parts: f"{_base(parts[0])}_{_group(parts[1])}^{_group(parts[2])}"),
    "munderover": (3, lambda parts: f"{_base(parts[0])}_{_group(parts[1])}^{_group(parts[2])}"),
    "semantics": (1, lambda parts: parts[0]),
}
