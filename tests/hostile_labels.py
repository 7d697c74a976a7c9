"""Names, titles and addresses that are code somewhere: in a terminal, in Markdown, YAML, HTML, SVG or TeX's mathematics."""

LABELS = (
    r"$\frac{a$",
    "$x^2$",
    r"\$\alpha\$ $$",
    "a\n## Licences\n\nPublic domain",
    "a\r\n---\r\nlicense: mit\r\n---",
    "| a | b |\n|---|---|",
    "a|b`c``d",
    "[take-down](https://evil.example/)",
    "![](https://evil.example/p.png)",
    "<https://evil.example>",
    "www.evil.example and https://evil.example/ and a@evil.example",
    "*bold* _it_ ~~gone~~ **x",
    "<script>alert(1)</script>",
    "</title></svg><script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "<!-- <![CDATA[ ]]> -->",
    "&lt;b&gt; &#x1b; &amp;",
    "\x1b[2J\x1b[31mred",
    "\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b2J\x9d0;title\x9c",
    "\x08\x08\x08\x7f\x00",
    "safe\rover",
    "user\u202egnp.exe",
    "\u2066a\u2067b\u2069\u200f\u200e\u061c",
    "line\u2028separator\u2029paragraph\x85next",
    "\ufeffmark\u200bzero\u2060width",
    "tag\U000e0041\U000e0042",
    "# heading",
    "1. list",
    "- [ ] item\n  - b",
    "\ttab\x0b\x0c",
    "%s {0} {{ x }} ${x} `id`",
    "x" * 20_000,
    "\U0001f469\u200d\U0001f680 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u00e4",
)
SURROGATES = ("\ud800", "a\udfffb")
"""Python has them, UTF-8 and Arrow do not."""
FORBIDDEN = frozenset(
    "\x1b\x07\x08\x00\x7f\x85\x9b\x9c\x9d\r\x0b\x0c\u2028\u2029\u202e\u2066\u2067\u2069\u200e\u200f\u061c\ufeff\u200b\u2060"
)
"""Characters that no output may hold."""
