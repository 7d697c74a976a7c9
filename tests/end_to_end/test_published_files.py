"""Credentials and user names enter a corpus in every place that a dump and a web server have. No published file holds one."""

import gzip
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
from servers.replay import ReplayServer, Reply

from pipeline.dedup import stage as dedup
from pipeline.documents import stage as documents
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage
from pipeline.links import stage as links
from pipeline.pages import stage as pages
from pipeline.report import card
from pipeline.report import stage as report
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest
from pipeline.tokens import stage as tokens
from pipeline.vocabulary import stage as vocabulary
from tokenizer.errors import InputError

PERSON = "canary-person"
KINDS = {
    "token": "https://s{n}.example/a?token={secret}",
    "access token": "https://s{n}.example/a?page=2&access_token={secret}#top",
    "api key": "https://s{n}.example/a?api_key={secret}",
    "key in one word": "https://s{n}.example/a?apikey={secret}&x=1",
    "bare key": "https://s{n}.example/a?key={secret}",
    "sig": "https://s{n}.example/a?sv=2020-08-04&sig={secret}",
    "amazon's": "https://s{n}.example/a?X-Amz-Credential={secret}%2F20260101&X-Amz-Signature={secret}&X-Amz-Security-Token={secret}",
    "google's": "https://s{n}.example/a?X-Goog-Signature={secret}&GoogleAccessId=x",
    "password": "https://s{n}.example/a?user=me&password={secret}",
    "pwd": "https://s{n}.example/a?pwd={secret}",
    "session": "https://s{n}.example/a?sid={secret}",
    "php's session": "https://s{n}.example/a?PHPSESSID={secret}",
    "java's session": "https://s{n}.example/a;jsessionid={secret}/b?x=1",
    "asp's session": "https://s{n}.example/(S({secret}))/a.aspx",
    "userinfo": "https://me:{secret}@s{n}.example/a",
    "oauth": "https://s{n}.example/a?oauth_token={secret}&oauth_verifier={secret}",
    "client secret": "https://s{n}.example/a?client_secret={secret}",
    "camel case": "https://s{n}.example/a?accessToken={secret}",
    "encoded name": "https://s{n}.example/a?%61ccess%5Ftoken={secret}",
    "in brackets": "https://s{n}.example/a?user[password]={secret}",
    "in an address in the address": "https://s{n}.example/a?u=https%3A%2F%2Fb.example%2F%3Ftoken%3D{secret}%26x%3D1",
    "in an encoded address": "https://s{n}.example/a?u=https%253A%252F%252Fme%253A{secret}%2540b.example%252F",
    "fragment that names a page": "https://s{n}.example/#!/a?b=1&token={secret}",
    "semicolons": "https://s{n}.example/a?b=1;auth={secret};c=2",
    "json web token": "https://s{n}.example/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi{secret}.{secret}/a",
    "ticket": "https://s{n}.example/a?ticket={secret}",
    "one-time code": "https://s{n}.example/a?otp={secret}",
    "csrf": "https://s{n}.example/a?csrfmiddlewaretoken={secret}",
    "signed cookie": "https://s{n}.example/a?Policy=x&Signature={secret}&Key-Pair-Id={secret}",
    "user of reddit": "https://archive.example/http://www.reddit.com/user/canary-person/about{n}",
}
USER = len(KINDS) - 1
PASSWORD = list(KINDS).index("userinfo")
"""Kinds of addresses that are fetched without the secret."""
TITLE = "hush99inatitle"
TEXTS = [text for _, text in sorted(topics.items()) if len(text) > 3000]


def secret(n: int) -> str:
    return f"hush{n:02d}c4n4ry"


LINKED = [template.format(n=n, secret=secret(n)) for n, template in enumerate(KINDS.values())]
FAILING = [f"https://gone.example/?token={secret(90)}", f"https://away.example/?sid={secret(91)}"]
REFUSED = [
    f"https://www.reddit.com/user/{PERSON}/comments/",
    f"https://old.reddit.com/r/u_{PERSON}/comments/x",
    f"https://user:{secret(92)}@bad host.example/",
    f"https:\\\\me:{secret(93)}@{'x' * 100} .example/?token={secret(93)}",
    f"ftp://me:{secret(94)}@files.example/",
    f"https://{'long' * 30}:{secret(95)}@a.example:port/",
    f"https://i.example/picture.png?token={secret(96)}",
]


def web() -> dict[str, bytes | Reply | None]:
    """Pages at the addresses that the links name; some are copies of each other, some lead elsewhere."""
    answers: dict[str, bytes | Reply | None] = {}
    for n, url in enumerate(LINKED):
        text = TEXTS[n // 2 * 2]
        title = f"<title>Page {n}, https://a.example/?token={TITLE}</title>"
        answers[url] = f"<html><head>{title}</head><body><p>{text.replace('<', '&lt;')}</p></body></html>".encode()
    answers[LINKED[0]] = Reply(status=302, headers=(("Location", f"https://s0.example/in?session={secret(0)}"),))
    answers[f"https://s0.example/in?session={secret(0)}"] = Reply(
        f"<title>In</title><p>{TEXTS[-1]}".encode(),
        headers=(("Set-Cookie", f"s={secret(0)}"), ("X-Auth-Token", secret(0)), ("X-Next", f"/b?token={secret(0)}")),
    )
    answers[FAILING[0]] = Reply(status=410)
    long = f"ftp://{'x' * 70}:{secret(91)}@away.example/?token={secret(91)}"
    answers[FAILING[1]] = Reply(status=302, headers=(("Location", long),))
    return answers


def dump_lines() -> Iterator[str]:
    for n, url in enumerate([*LINKED, *FAILING, *REFUSED]):
        person = {"author": f"{PERSON}-author", "author_fullname": "t2_canary", "permalink": f"/user/{PERSON}/comments/x{n}/"}
        yield json.dumps(
            {
                "id": f"x{n}",
                "subreddit": f"u_{PERSON}" if n % 3 == 0 else "AskReddit",
                "score": 9,
                "created_utc": 1_400_000_000 + n,
                "url": url,
                "title": f"by u/{PERSON}",
                "is_self": False,
                "crosspost_parent_list": [{**person, "url": url, "subreddit": f"u_{PERSON}"}] if n % 5 == 0 else [],
                **person,
            }
        )


def every_byte(folder: Path) -> dict[str, bytes]:
    """Content of all files below a folder, decompressed; of tables, every column."""
    content = {}
    for path in folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            if path.suffix == ".gz":
                raw = gzip.decompress(raw)
            elif path.suffix == ".parquet":
                raw += repr(files.read_table(str(path)).to_pylist()).encode()
            content[str(path.relative_to(folder))] = raw
    return content


def leaks(folder: Path) -> list[str]:
    return [name for name, data in every_byte(folder).items() if b"c4n4ry" in data or b"canary" in data]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ReplayServer]]:
    """A corpus folder whose links alone are made, and the web that they lead to."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "RS_2014-05.jsonl").write_text("".join(line + "\n" for line in dump_lines()))
    run(folder / "corpus", links.STAGE, submissions=(str(folder / "RS_2014-05.jsonl"),))
    with ReplayServer(web()) as server:
        yield folder / "corpus", server


def run(corpus: Path, stage: Stage[Any], *, replace: bool = False, **settings: Any) -> StageManifest:
    inputs = {name: str(corpus / name) for name in stage.inputs}
    engine = Engine(workers=1, replace=replace)
    return stage.run(Call(inputs, str(corpus / stage.name), stage.settings(**settings), engine))


def crawl(corpus: Path, server: ReplayServer, *, replace: bool = False) -> StageManifest:
    proxy = {"proxy": server.proxy_url, "ca_bundle": server.ca_bundle}
    return run(corpus, pages.STAGE, replace=replace, host_delay=0.0, retries=0, **proxy)


def test_addresses_are_private_until_they_are_fetched(corpus: tuple[Path, ReplayServer]) -> None:
    folder, server = corpus
    private = folder / "links" / "private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert (private / ".gitignore").read_text() == "*\n"
    assert {Path(name).parts[1] for name in leaks(folder)} == {"private"}
    assert not any(entry.name.startswith("private") for entry in StageManifest.load(str(folder / "links")).files)
    with pytest.raises(InputError, match=r"links/private: holds addresses with credentials until pages are fetched"):
        card.TOOL.run(["--corpus", str(folder), "--contact", "a@b.example"])
    manifest = crawl(folder, server)
    assert manifest.books.items_out == len(LINKED)
    fetched = [n for n in range(len(KINDS)) if any(secret(n) in url and hits for url, hits in server.hits.items())]
    assert set(range(len(KINDS))) - set(fetched) == {PASSWORD, USER}
    assert not private.exists()


def test_no_published_file_holds_a_credential_or_a_user_name(corpus: tuple[Path, ReplayServer]) -> None:
    folder, server = corpus
    crawl(folder, server)
    run(folder, documents.STAGE)
    run(folder, dedup.STAGE)
    run(folder, vocabulary.STAGE, vocab_size=300)
    run(folder, tokens.STAGE, validation_share=0.2)
    run(folder, report.STAGE)
    card.TOOL.run(["--corpus", str(folder), "--contact", "a@b.example"])
    assert leaks(folder) == []
    assert "no user names" in (folder / "README.md").read_text()
    content = every_byte(folder)
    assert len([name for name in content if name.endswith(".warc.gz")]) == 1
    assert [name for name, data in content.items() if TITLE.encode() in data] == ["pages/pages-00000-of-00001.warc.gz"]
    assert b"REDACTED" in content["report/report.html"]
    kept = [row for name, data in content.items() if name.startswith("links/links-") for row in [data] if b"'u_'" in row]
    assert kept
    assert any(b"duplicates" in name.encode() and b"REDACTED" in data for name, data in content.items())


def test_a_second_fetch_says_which_links_it_cannot_make(
    corpus: tuple[Path, ReplayServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, server = corpus
    crawl(folder, server)
    again = Call(
        {"links": str(folder / "links")},
        str(tmp_path / "pages"),
        pages.STAGE.settings(proxy=server.proxy_url, ca_bundle=server.ca_bundle, host_delay=0.0, retries=0),
        Engine(workers=1),
    )
    caplog.set_level("WARNING")
    manifest = pages.STAGE.run(again)
    dropped = manifest.books.dropped["credentials_removed"]
    assert dropped >= len(KINDS) - 2
    assert f"{dropped} links have credentials in their addresses" in caplog.text


def test_a_copy_from_our_own_archive_finds_redacted_pages(corpus: tuple[Path, ReplayServer], tmp_path: Path) -> None:
    folder, server = corpus
    crawl(folder, server)
    copied = pages.STAGE.settings(fetch_from=(str(folder / "pages"),))
    manifest = pages.STAGE.run(Call({"links": str(folder / "links")}, str(tmp_path / "pages"), copied, Engine(workers=1)))
    assert manifest.books.items_out == len(LINKED)
