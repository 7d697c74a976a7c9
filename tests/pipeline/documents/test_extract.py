import random
import tarfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdf_files import column, pdf_of

from pipeline.documents import html
from pipeline.documents.drops import REASONS, ExtractDrop
from pipeline.documents.extract import extract
from pipeline.documents.gates import Gates
from pipeline.documents.quality import QualityFilter
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules, Takedown
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.trail import Trail
from pipeline.records import Document, Drop, RawPage

SENTENCE = "The harbour was quiet that morning and nobody had yet seen the ship that came in with the tide. "
ALL = replace(DEFAULT_RULES, languages=frozenset(), min_characters=0)
TAKEDOWN = ExtractionRules(takedown=Takedown(keys=frozenset({"e.org/a"}), domains=frozenset({"gone.org"})))


def article(text: str, head: str = "") -> bytes:
    return f"<html><head><title>The tide</title>{head}</head><body><article><p>{text}</p></article></body></html>".encode()


def dropped(page: RawPage, rules: ExtractionRules = DEFAULT_RULES) -> tuple[ExtractDrop | QualityFilter, str | None]:
    result = extract(page, rules)
    assert isinstance(result, Drop)
    return REASONS[str(result.reason)], result.detail


def text_of(body: bytes, rules: ExtractionRules = ALL) -> str:
    result = extract(RawPage("http://example.org/", body), rules)
    assert isinstance(result, Document), result
    return result.text


@pytest.mark.parametrize(("page", "rules", "reason", "detail"), [
    (RawPage("http://en.wikipedia.org/x", article(SENTENCE * 5)), DEFAULT_RULES, ExtractDrop.EXCLUDED_SITE, "wikipedia.org"),
    (RawPage("http://t.co/x", b"", final_url="https://de.wikipedia.org/"), DEFAULT_RULES, ExtractDrop.EXCLUDED_SITE, "wikipedia.org"),
    (RawPage("http://e.org/", b"%PDF", media_type="application/pdf"), DEFAULT_RULES, ExtractDrop.MEDIA_TYPE, "application/pdf"),
    (RawPage("http://e.org/", b"plain", media_type=None), DEFAULT_RULES, ExtractDrop.MEDIA_TYPE, "unknown"),
    (RawPage("http://e.org/", b"x" * 11), ExtractionRules(gates=Gates(page_bytes=10)), ExtractDrop.TOO_LARGE, "11 bytes, at most 10"),
    (RawPage("http://e.org/", b"<p>" * 11), ExtractionRules(gates=Gates(page_tags=10)), ExtractDrop.TOO_LARGE, "11 tags, at most 10"),
    (RawPage("http://e.org/", b"  "), DEFAULT_RULES, ExtractDrop.NO_MARKUP, None),
    (RawPage("http://e.org/", b"<p></p>"), DEFAULT_RULES, ExtractDrop.NO_TEXT, None),
    (RawPage("http://e.org/", article("Short.")), DEFAULT_RULES, ExtractDrop.TOO_SHORT, "6 characters, at least 128"),
    (RawPage("http://e.org/", article(SENTENCE * 5)), replace(DEFAULT_RULES, filters=("gopher",)), QualityFilter.GOPHER, None),
    (RawPage("http://e.org/a", b"", dedup_key="e.org/a"), TAKEDOWN, ExtractDrop.TAKEN_DOWN, "URL e.org/a"),
    (RawPage("http://sub.gone.org/", b""), TAKEDOWN, ExtractDrop.TAKEN_DOWN, "domain gone.org"),
])  # fmt: skip
def test_each_cause_of_a_drop_has_its_reason(
    page: RawPage, rules: ExtractionRules, reason: ExtractDrop | QualityFilter, detail: str | None
) -> None:
    drop = dropped(page, rules)
    assert drop[0] == reason
    if detail is not None:
        assert drop[1] == detail


def test_url_without_a_readable_host_is_no_error() -> None:
    result = extract(RawPage("http://[::1/", article(SENTENCE * 5), final_url="http://[x"))
    assert isinstance(result, Document)
    assert result.domain == ""


def test_only_the_chosen_languages_are_kept() -> None:
    german = article("Der Hafen war an diesem Morgen ruhig, und niemand hatte das Schiff gesehen, das mit der Flut kam. " * 4)
    assert dropped(RawPage("http://e.org/", german))[0] == ExtractDrop.LANGUAGE
    kept = extract(RawPage("http://e.org/", german), ExtractionRules(languages=frozenset({"de", "en"})))
    assert isinstance(kept, Document)
    assert kept.language == "de"
    assert kept.language_confidence is not None
    assert kept.language_confidence > 0.9


@pytest.mark.parametrize("depth", [250, 300, 1_000, 5_000, 30_000])
def test_deep_pages_keep_their_text(depth: int) -> None:
    body = "<div>" * depth + "".join(f"<p>{SENTENCE}Part {i}.</p>" for i in range(9)) + "</div>" * depth
    text = text_of(body.encode())
    assert [i for i in range(9) if f"Part {i}." in text] == list(range(9))


def test_text_after_a_run_of_ten_megabytes_is_kept() -> None:
    body = f"<p>{SENTENCE * 3}</p><!--{'x' * 10_500_000}--><p>{SENTENCE}Last.</p>".encode()
    assert "Last." in text_of(body, replace(ALL, gates=Gates(page_bytes=20_000_000)))


def test_article_in_json_ld_replaces_a_fragment() -> None:
    article_body = (SENTENCE * 20).strip()
    head = f'<script type="application/ld+json">{{"@graph": [{{"articleBody": "{article_body}"}}]}}</script>'
    assert text_of(article("Loading …", head)) == article_body


def test_plain_text_is_kept_on_demand() -> None:
    page = RawPage("http://e.org/a.txt", f"{SENTENCE * 3}<b>no tag</b>\r\nLine two.".encode(), media_type="text/plain")
    assert dropped(page)[0] == ExtractDrop.MEDIA_TYPE
    result = extract(page, replace(DEFAULT_RULES, plain_text=True))
    assert isinstance(result, Document)
    assert result.text.endswith("<b>no tag</b>\nLine two.")


def test_pdf_is_kept_on_demand() -> None:
    page = RawPage("http://e.org/a.pdf", pdf_of([column([SENTENCE, SENTENCE])]), media_type="application/pdf")
    assert dropped(page)[0] == ExtractDrop.MEDIA_TYPE
    result = extract(page, replace(DEFAULT_RULES, pdf=True))
    assert isinstance(result, Document), result
    assert (result.title, result.text.replace("\n", " ")) == ("The tide", f"{SENTENCE.strip()} {SENTENCE.strip()}")


@pytest.mark.parametrize(("head", "day"), [
    ('<meta property="article:published_time" content="2017-05-04T10:00:00Z">', date(2017, 5, 4)),
    ('<script type="application/ld+json">{"datePublished": "2016-02-29"}</script>', date(2016, 2, 29)),
    ('<meta property="article:published_time" content="2017-02-31">', None), ("<!-- 2017-05-04 -->", None),
])  # fmt: skip
@pytest.mark.parametrize("extractor", ["blocks", "cascade", "resiliparse"])
def test_day_of_publication_comes_from_the_metadata(head: str, day: date | None, extractor: str) -> None:
    with Sandbox(replace(ALL, extractor=extractor)) as sandbox:
        result = sandbox.extract(RawPage("http://e.org/", article(SENTENCE * 5, head))).result
    assert isinstance(result, Document)
    assert (result.title, result.published) == ("The tide", day)


def test_standfirst_is_put_above_the_text() -> None:
    standfirst = "Nobody saw the ship that came in with the morning tide, say the keepers of the light, and nobody missed it."
    head = f'<meta name="description" content="{standfirst}">'
    body = (
        f"<html><head>{head}</head><body><main><div class='teaser'><p>{standfirst}</p></div><article>{f'<p>{SENTENCE}</p>' * 5}"
    )
    assert text_of(body.encode()).startswith(standfirst)


def test_paragraphs_that_are_one_link_are_removed() -> None:
    pointer = "<p><a href=/x>Another harbour, another ship: the story of the winter</a></p>"
    prose = "".join(f"<p>{SENTENCE}It was day {day}.</p>" for day in range(8))
    few = f"<article>{prose}{pointer}<p>{SENTENCE}The end.</p></article>"
    assert "Another harbour" not in text_of(few.encode())
    tree = html.parse(pointer * 5 + f"<p>{SENTENCE}</p>")
    assert tree is not None
    html.strip_pointers(tree)
    assert tree.text_content().count("Another harbour") == 5


def test_personal_data_is_masked_on_demand() -> None:
    trail = Trail()
    body = article(f"{SENTENCE * 3} Write to captain@harbour.org.")
    result = extract(RawPage("http://e.org/", body), replace(ALL, mask_pii=True), trail)
    assert isinstance(result, Document)
    assert "email@example.com" in result.text
    assert trail.counts["pii_masked"] == 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.one_of(st.none(), st.text(max_size=20)), st.sampled_from(["blocks", "cascade", "resiliparse"]))
def test_any_bytes_give_a_document_or_a_drop(body: bytes, charset: str | None, extractor: str) -> None:
    page = RawPage("http://example.org/", b"<html><body><p>" + body, charset=charset)
    rules = replace(ALL, extractor=extractor)
    first = extract(page, rules)
    assert first == extract(page, rules)
    if isinstance(first, Document):
        first.text.encode()


@pytest.mark.slow
def test_order_of_pages_changes_no_document(shared_data: Path) -> None:
    with tarfile.open(shared_data / "html" / "scrapinghub.tar.xz") as archive:
        bodies = [file.read() for m in archive if m.isfile() and (file := archive.extractfile(m)) is not None]
    pages = [RawPage(f"http://example.org/{i}", body) for i, body in enumerate(bodies)]
    outcomes = []
    with Sandbox(ALL) as sandbox:
        for seed in range(3):
            order = random.Random(seed).sample(pages, len(pages))
            extractions = {page.url: sandbox.extract(page) for page in order}
            outcomes.append([extractions[page.url] for page in pages])
    assert len(pages) > 90
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_the_least_length_holds_after_the_lines_of_filters_are_removed() -> None:
    lines = [
        "Home sweet home of the lamps",
        "Latest weather at the harbour",
        "Lamps and wicks and oil cans",
        "People we met on the pier",
    ]
    kept = ["The lamp was lit today.", "The boat came in late.", "The sea was very calm."]
    body = "".join(f"<p>{line}</p>" for line in (*lines, *kept, *lines))
    result = extract(
        RawPage("http://e.org/", f"<html><body><article>{body}</article></body></html>".encode()),
        ExtractionRules(filters=("c4",)),
    )
    assert isinstance(result, Drop)
    assert (result.reason, result.detail) == (ExtractDrop.TOO_SHORT, "69 characters, at least 128")
