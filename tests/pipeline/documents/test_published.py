"""The day of publication in its usual spellings, and on the pages of htmldate's evaluation."""

import json
import tarfile
from datetime import date
from pathlib import Path

import pytest

from pipeline.documents import charset
from pipeline.documents.day_formats import day_in
from pipeline.documents.published import publication_day

DAY = date(2017, 5, 4)


@pytest.mark.parametrize("text", [
    "2017-05-04", "2017-5-4", "2017/05/04", "2017.05.04", "20170504", "2017-05-04T10:00:00Z", "20170504T100000", "04.05.2017", "4.5.2017",
    "04/05/2017", "4-5-2017", "04.05.17", "4 May 2017", "4th May 2017", "4th of May, 2017", "May 4, 2017", "May 4th, 2017", "MAY 04 2017",
    "Thu, 04 May 2017 10:00:00 GMT", "Thursday, 4. Mai 2017", "4. Mai 2017", "4 mai 2017", "jeudi 4 mai 2017", "4 de mayo de 2017",
    "4 maggio 2017", "4 de maio de 2017", "4 mei 2017", "4 maja 2017", "4 мая 2017", "2017年5月4日", "2017년 5월 4일",
    "4-May-2017", "4 mai, 2017",
])  # fmt: skip
def test_days_are_read_as_people_write_them(text: str) -> None:
    assert list(day_in(text)) == [DAY]
    assert list(day_in(f"Posted: {text} by the keeper")) == [DAY]


@pytest.mark.parametrize("text", ["2017-13-04", "2017-02-31", "31.02.2017", "version 2.5.2017.1", "1.2.3", "12017-05-04",
                                  "call 555-12-2017",
                                  "May 2017", "",
                                  "4 Mayo Street 20175"])  # fmt: skip
def test_other_numbers_are_no_day(text: str) -> None:
    assert list(day_in(text)) == []


def test_the_month_comes_first_where_americans_write() -> None:
    assert list(day_in("5/4/2017", month_first=True)) == [DAY]
    assert list(day_in("5/4/2017")) == [date(2017, 4, 5)]
    assert list(day_in("5/24/2017")) == list(day_in("24/5/2017", month_first=True)) == [date(2017, 5, 24)]


@pytest.mark.parametrize("markup", [
    '<meta property="article:published_time" content="2017-05-04T10:00:00Z">', "<meta content='2017-05-04' name='DC.date.issued'>",
    '<meta itemprop="datePublished" content="2017-05-04">', '<META NAME="pubdate" CONTENT="Thu, 04 May 2017 08:00:00 GMT">',
    '<meta name="date" content="04.05.2017">', '<meta name="citation_publication_date" content="2017/05/04">',
    '<script type="application/ld+json">{"datePublished": "2017-05-04"}</script>',
    "<script>var x = {'publish_date': '2017-05-04'}</script>",
    '<span itemprop="datePublished">May 4, 2017</span>', '<span itemprop="datePublished" content="2017-05-04T08:00">today</span>',
    '<time datetime="2017-05-04T10:00">two hours ago</time>', '<time class="entry-date" pubdate>4 May 2017</time>',
    '<abbr class="published" title="2017-05-04T10:21:40Z">jeudi</abbr>', '<div class="post-date">4. Mai 2017</div>',
    '<p class="published-date">\n&nbsp; / jueves 4 de mayo de 2017\n</p>', '<span class="meta__date"><b>On</b> 04.05.2017</span>',
    "<p>Posted by the keeper on 4th May 2017</p>", "<small>Dieser Beitrag wurde am Donnerstag, 4. Mai 2017 veröffentlicht</small>",
    "<div>May 4, 2017</div>", '<link rel="canonical" href="https://example.org/2017/05/04/story">',
    '<meta property="og:url" content="https://example.org/story-20170504.html">',
    '<meta property="article:published_time" content="2017-05-03T23:30Z"><script>{"datePublished": "2017-05-04T01:30+02:00"}</script>',
    '<div class="comment-date">1 May 2016</div><div class="date">4 May 2017</div>',
])  # fmt: skip
def test_a_page_says_its_day_in_markup(markup: str) -> None:
    assert publication_day(f"<html lang=de><head></head><body>{markup}</body></html>") == DAY


@pytest.mark.parametrize("url", [
    "http://example.org/2017/05/04/story", "http://example.org/2017/5/4/", "http://example.org/2017-05-04-story.html", "http://example.org/20170504/x",
    "http://example.org/story-2017_05_04", "http://example.org/?date=2017-05-04&x", "http://example.org/news/2017/05/04", "http://e.org/a/20170504",
    "https://twitter.com/someone/status/860127347219517440", "https://x.com/someone/status/860127347219517440/photo/1",
])  # fmt: skip
def test_an_address_says_the_day(url: str) -> None:
    assert publication_day("<p>Nothing.", url) == DAY


@pytest.mark.parametrize(("markup", "url"), [
    ("<p>It happened on 4 May 2017 in the harbour.</p>", ""), ("<!-- 2017-05-04 -->", ""), ("<p>", "http://example.org/2028064/x"),
    ("<p>", "http://example.org/0215/200215_7568645051"), ("<p>", "http://example.org/2017/05/3-questions"), ("<p>", "http://example.org/20170504123"),
    ('<meta name="description" content="2017-05-04">', ""), ("<div>1 May 2017</div><div>4 May 2017</div>", ""),
    ("<td>0504-2017-11</td>", ""),
    ('<meta property="article:published_time" content="1970-01-01">', ""),
    ('<input class="datepicker" value="04.05.2017">', ""),
])  # fmt: skip
def test_other_days_are_not_taken_for_it(markup: str, url: str) -> None:
    assert publication_day(f"<html><body>{markup}</body></html>", url) is None


def test_days_of_real_pages(shared_data: Path) -> None:
    """htmldate's own evaluation: where it is right on 205 and wrong on 18 pages (thorough), or 197 and 13 (fast)."""
    folder = shared_data / "html"
    with (folder / "gold.jsonl").open() as lines:
        gold = {row["file"]: row for row in map(json.loads, lines) if "date" in row}
    found = {}
    with tarfile.open(folder / "htmldate.tar.xz") as archive:
        for member in archive:
            if member.name in gold and (file := archive.extractfile(member)) is not None:
                found[member.name] = publication_day(charset.decode(file.read(), None)[0], gold[member.name]["url"])
    right = [name for name, day in found.items() if str(day) == gold[name]["date"]]
    wrong = [name for name, day in found.items() if day is not None and name not in right]
    assert len(found) == 229
    assert len(right) >= 200
    assert len(wrong) <= 8, wrong
