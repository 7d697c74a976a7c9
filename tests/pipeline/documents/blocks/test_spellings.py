"""What one thing looks like in the sources of different pages: each kind in ten spellings or more, with the same text for all."""

import numpy as np
import pytest

from pipeline.documents.blocks import chooser
from pipeline.documents.blocks.page import BlockPage, text_of

SPELLINGS: dict[str, tuple[str, list[str]]] = {
    "soft hyphens": (
        "cooperation",
        [
            "coop&shy;eration",
            "coop\u00aderation",
            "coop&#173;eration",
            "coop&#xad;eration",
            "coop&#xAD;eration",
            "coop&#0173;eration",
            "coop&shyeration",
            "co&shy;op&shy;eration",
            "coop<b>&shy;</b>eration",
            "<p>coop\u00ad<i>eration</i></p>",
            "coop&shy;&shy;eration",
        ],
    ),
    "a joiner in a Persian word": (
        "می\u200cخواهند",
        [
            "می\u200cخواهند",
            "می&zwnj;خواهند",
            "می&#8204;خواهند",
            "می&#x200c;خواهند",
            "می&#x200C;خواهند",
            "می&#08204;خواهند",
            "<p>می<b>&zwnj;</b>خواهند</p>",
            "<i>می\u200c</i>خواهند",
            "<div>می&zwnj;<span>خواهند</span></div>",
            "<bdi>می\u200cخواهند</bdi>",
        ],
    ),
    "a joined emoji": (
        "\U0001f468\u200d\U0001f469",
        [
            "\U0001f468\u200d\U0001f469",
            "\U0001f468&zwj;\U0001f469",
            "\U0001f468&#8205;\U0001f469",
            "\U0001f468&#x200d;\U0001f469",
            "\U0001f468&#x200D;\U0001f469",
            "&#128104;\u200d&#128105;",
            "&#x1F468;&zwj;&#x1f469;",
            "&#128104;&#8205;&#128105;",
            "<span>\U0001f468</span>&zwj;<span>\U0001f469</span>",
            "<p>\U0001f468<b>\u200d</b>\U0001f469",
        ],
    ),
    "C1 controls of windows-1252": (
        "It’s “calm” – now…",
        [
            "It\u0092s \u0093calm\u0094 \u0096 now\u0085",
            "It&#146;s &#147;calm&#148; &#150; now&#133;",
            "It&#x92;s &#x93;calm&#x94; &#x96; now&#x85;",
            "It&#x0092;s &#x0093;calm&#x0094; &#x0096; now&#x0085;",
            "It&#0146;s &#0147;calm&#0148; &#0150; now&#0133;",
            "It&#146s &#147calm&#148 &#150 now&#133",
            "<p>It<b>\u0092</b>s \u0093<i>calm</i>\u0094 \u0096 now\u0085</p>",
            "It\u0092s &#147;calm\u0094 &ndash; now&hellip;",
            "It&rsquo;s &#x93;calm&#x94; &#150; now\u0085",
            "It’s &ldquo;calm&rdquo; \u0096 now&#133;",
        ],
    ),
    "breaks": (
        "The bell\nrang twice",
        [
            "The bell<br>rang twice",
            "The bell<br/>rang twice",
            "The bell<br />rang twice",
            "The bell<BR>rang twice",
            "The bell</br>rang twice",
            "The bell<br clear=all>rang twice",
            "The bell<br\n>rang twice",
            "<p>The bell<br>\n   rang twice</p>",
            "The bell <br> rang twice",
            "<b>The bell<br></b>rang twice",
            "The bell<br class='x'/>rang twice",
            "<p>The bell<p>rang twice",
            "<div>The bell</div>rang twice",
            "<ul><li>The bell<li>rang twice</ul>",
            "The bell<div></div>rang twice",
        ],
    ),
    "tables that only place things": (
        "News\nThe ship came in.",
        [
            "<table><tr><td>News</table><table><tr><td>The ship came in.</table>",
            "<table><tr><td>News<tr><td>The ship came in.</table>",
            "<table><tr><td><table><tr><td>News</table><td>The ship came in.</table>",
            "<table><tr><td>News<td><table><tr><td>The ship came in.</table></table>",
            "<table><tr><td><p>News</p><p>The ship came in.</p></table>",
            "<table><tbody><tr><td>News<br>The ship came in.</tbody></table>",
            "<table><tr><td>News<td><pre>The ship came in.</pre></table>",
            "<table width=100%><tr><td colspan=2>News<tr><td>The ship came in.</table>",
            "<table><tr><td>News</td><td></td></tr><tr><td></td><td>The ship came in.</td></tr></table>",
            "<table><tr><td><h2>News</h2><div>The ship came in.</div></td></tr></table>",
            "<table><tr><th>News<tr><td>The ship came in.</table>",
        ],
    ),
    "tables of data": (
        "Winter\tCans\n1911\t61",
        [
            "<table><tr><th>Winter<th>Cans<tr><td>1911<td>61</table>",
            "<table><tr><td>Winter<td>Cans<tr><td>1911<td>61</table>",
            "<TABLE BORDER=1><TR><TD>Winter</TD><TD>Cans</TD></TR><TR><TD>1911</TD><TD>61</TD></TR></TABLE>",
            "<table><thead><tr><th>Winter<th>Cans<tbody><tr><th>1911<td>61</table>",
            "<table><colgroup><col><col></colgroup><tr><td>Winter<td>Cans<tr><td>1911<td>61</table>",
            "<table>\n <tr>\n  <td>\n   Winter\n  </td>\n  <td> Cans </td>\n </tr>\n <tr><td> 1911 </td><td> 61 </td></tr>\n</table>",
            "<table><tr><td><b>Winter</b><td><i>Cans</i><tr><td><span>1911</span><td><a href=/x>61</a></table>",
            "<table><tr><td><p>Winter</p><td><p>Cans</p><tr><td><p>1911</p><td><p>61</p></table>",
            "<table><tr><td>Winter&nbsp;<td>Cans<tr><td>1911<td>&nbsp;61</table>",
            "<table><tbody><tr><td>Winter<td>Cans</tbody><tbody><tr><td>1911<td>61</tbody></table>",
        ],
    ),
    "definition lists": (
        "Fixed\nA light that never goes out.",
        [
            "<dl><dt>Fixed<dd>A light that never goes out.</dl>",
            "<dl><dt>Fixed</dt><dd>A light that never goes out.</dd></dl>",
            "<dl><div><dt>Fixed</dt><dd>A light that never goes out.</dd></div></dl>",
            "<dl><dt><b>Fixed</b><dd><p>A light that never goes out.</dl>",
            "<dl><dt><p>Fixed</p></dt><dd><div>A light that never goes out.</div></dd></dl>",
            "<DL><DT>Fixed<DD>A light that never goes out.</DL>",
            "<dl>\n<dt>\n Fixed\n<dd>\n A light\n that never goes out.\n</dl>",
            "<dl><dt><dfn>Fixed</dfn><dd>A light that never goes out.</dl>",
            "<dt>Fixed<dd>A light that never goes out.",
            "<dl class=dl-horizontal><dt id=f>Fixed</dt>\t<dd>A light that never goes out.</dl>",
        ],
    ),
    "captions": (
        "The ship, seen from the pier.",
        [
            "<figure><img src=a><figcaption>The ship, seen from the pier.</figcaption></figure>",
            "<figure><figcaption>The ship, seen from the pier.</figcaption><img src=a></figure>",
            "<figure><img src=a><figcaption><p>The ship, seen from the pier.</p></figcaption></figure>",
            "<div class=wp-caption><img src=a><p class=wp-caption-text>The ship, seen from the pier.</p></div>",
            "<dl class=wp-caption><dt><img src=a><dd class=wp-caption-dd>The ship, seen from the pier.</dl>",
            "<table><caption>The ship, seen from the pier.</caption><tr><td><img src=a></table>",
            "<div class=image><img src=a><div class=caption>The ship, seen from the pier.</div></div>",
            "<span class=photo><img src=a><br><small>The ship, seen from the pier.</small></span>",
            "<figure><picture><source><img></picture><figcaption><span>The ship,</span> seen from the pier.</figcaption></figure>",
            "<center><img src=a alt=x><br><i>The ship, seen from the pier.</i></center>",
        ],
    ),
    "notes at the foot": (
        "It leans.[1]\n[1] By two degrees.",
        [
            "It leans.<a href=#n>[1]</a><div id=n>[1] By two degrees.</div>",
            "<p>It leans.<sup><a href='#n'>[1]</a></sup></p><p>[1] By two degrees.",
            "<p>It leans.<sup>[1]</sup><hr><p><small>[1] By two degrees.</small>",
            "<p>It leans.<a id=r>[1]</a><aside>[1] By two degrees.</aside>",
            "<p>It leans.<a href=#n role=doc-noteref>[1]</a></p><section role=doc-endnotes><p>[1] By two degrees.</section>",
            "<p>It leans.<sup id=r>[1]</sup></p><ol class=footnotes><li>[1] By two degrees.</ol>",
            "<p>It leans.<a name=r href=#n><sup>[1]</sup></a><br>[1] By two degrees.",
            "<p>It leans.<span>[</span>1<span>]</span><footer>[1] By two degrees.</footer>",
            "<div>It leans.<a href='#n'>[1]</a><div class=notes><p><a href=#r>[1]</a> By two degrees.</div></div>",
            "<p>It leans.[1]<table><tr><td>[1] By two degrees.</table>",
        ],
    ),
    "embedded posts": (
        "The light is on.\n— Harbour (@h) May 4",
        [
            "<blockquote class=twitter-tweet><p>The light is on.</p>— Harbour (@h) May 4</blockquote><script src=w.js></script>",
            "<blockquote class=twitter-tweet><p lang=en dir=ltr>The light is on.</p>&mdash; Harbour (@h) <a href=/1>May 4</a></blockquote>",
            "<twitter-widget><p>The light is on.</p>— Harbour (@h) May 4</twitter-widget>",
            "<div class=tweet>The light is on.<br>— Harbour (@h) May 4</div>",
            "<figure class=wp-block-embed><blockquote><p>The light is on.</p>— Harbour (@h) May 4</blockquote></figure>",
            "<blockquote><p>The light is on.</p><footer>— Harbour (@h) May 4</footer></blockquote>",
            "<blockquote><p>The light is on.</p><cite>— Harbour (@h) May 4</cite></blockquote>",
            "<div class=embed-twitter><blockquote><p>The light is on.<p>— Harbour (@h) <time>May 4</time></blockquote></div>",
            "<blockquote class='twitter-video'><p>The light is on.</p>&#8212; Harbour (@h) <a href=/1>May&nbsp;4</a></blockquote>",
            "<iframe src=x></iframe><blockquote><p>The light is on.</p>— Harbour (@h) May 4</blockquote>",
        ],
    ),
    "a time in a sentence": (
        "Since 4 May 2017 the light is on.",
        [
            "Since <time>4 May 2017</time> the light is on.",
            "Since <time datetime=2017-05-04>4 May 2017</time> the light is on.",
            "<p>Since <time pubdate>4 May 2017</time> the light is on.",
            "<p>Since <span class=date>4 May 2017</span> the light is on.",
            "<p>Since <abbr title=2017-05-04>4 May 2017</abbr> the light is on.",
            "<p>Since <time><b>4 May</b> 2017</time> the light is on.",
            "<p>Since <data value=1>4 May 2017</data> the light is on.",
            "<div>Since\n<time>\n4 May 2017\n</time>\nthe light is on.</div>",
            "<p>Since <TIME itemprop=datePublished>4 May 2017</TIME> the light is on.",
            "<li>Since <a href=/x><time>4 May 2017</time></a> the light is on.",
        ],
    ),
    "a question and its answer": (
        "Why green?\nIt was cheaper.",
        [
            "<details><summary>Why green?</summary>It was cheaper.</details>",
            "<details open><summary><h3>Why green?</h3></summary><p>It was cheaper.</details>",
            "<button>Why green?</button><div>It was cheaper.</div>",
            "<h3><button type=button>Why green?</button></h3><p>It was cheaper.",
            "<dl><dt><button>Why green?</button><dd>It was cheaper.</dl>",
            "<details><summary><button>Why green?</button></summary><p>It was cheaper.</details>",
            "<details><summary><span>Why</span> green?</summary><div><p>It was cheaper.</div></details>",
            "<button class=accordion aria-expanded=false>Why green?</button><div class=panel><p>It was cheaper.</p></div>",
            "<div itemscope><h2 itemprop=name><button>Why green?</button></h2><div itemprop=text>It was cheaper.</div></div>",
            "<details>\n<summary>\nWhy green?\n</summary>\nIt was cheaper.\n</details>",
        ],
    ),
    "headings with links to themselves": (
        "Oil\nIt burns.",
        [
            "<h2><a href=#oil>Oil</a></h2>It burns.",
            "<h2 id=oil><a name=oil></a>Oil</h2><p>It burns.",
            "<h2><a id=oil>Oil</a></h2><p>It burns.",
            "<h1><a href='#oil' class=anchor aria-hidden=true></a>Oil</h1><p>It burns.",
            "<h3><span id=oil>Oil</span></h3><div>It burns.</div>",
            "<h2><a href=http://example.org/a#oil>Oil</a></h2><p>It burns.",
            "<section><h1>Oil</h1>It burns.</section>",
            "<h1>Oil</h1><h1></h1><p>It burns.",
            "<a href=#oil><h2>Oil</h2></a><p>It burns.",
            "<hgroup><h1>Oil</h1></hgroup><p>It burns.",
        ],
    ),
}


@pytest.mark.parametrize(("markup", "text"), [(markup, text) for text, markups in SPELLINGS.values() for markup in markups])
def test_every_spelling_has_the_same_text(markup: str, text: str) -> None:
    assert text_of(f"<title>x</title><body>{markup}") == text


def test_each_kind_has_ten_spellings() -> None:
    assert [name for name, (_, markups) in SPELLINGS.items() if len(set(markups)) < 10] == []


NUMBERED = [
    "<table><tr><td><pre>1\n2</pre><td><pre>{}</pre></table>",
    "<table><tr><td class=gutter><div>1</div><div>2</div><td><pre>{}</pre></table>",
    "<table><tr><td class=lineno>1 2<td><pre>{}</pre></table>",
    "<table><tr><td class=linenumbers><pre>1\n2</pre><td><pre>{}</pre></table>",
    "<div class=line-numbers>1<br>2</div><pre>{}</pre>",
    "<table><tr><td><pre><b>1</b>\n<b>2</b></pre><td><pre><code>{}</code></pre></table>",
    "<div class=gutter>12</div><div><pre>{}</pre></div>",
    "<TABLE><TR><TD><PRE>1\n2\n</PRE></TD><TD><PRE>{}</PRE></TD></TR></TABLE>",
    "<table class=highlighttable><tr><td class=linenos><pre>1\n2</pre></td><td class=code><pre>{}</pre></td></tr></table>",
    "<ol class=line-nums><li>1<li>2</ol><pre>{}</pre>",
]


@pytest.mark.parametrize("markup", NUMBERED)
def test_numbers_beside_code_are_never_chosen(markup: str) -> None:
    page = BlockPage.of(markup.format("if x:\n    y()"))
    dropped = chooser.never(page.scanned, page.counts)
    assert page.text(np.logical_not(dropped)) == "if x:\n    y()"
