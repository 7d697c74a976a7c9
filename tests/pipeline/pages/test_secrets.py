"""A canary secret enters the pages stage in every possible place; it must not be written anywhere."""

import gzip
import logging
import os
import traceback
from pathlib import Path

import pytest
from servers.replay import ReplayServer, Reply
from servers.stage_runs import link, links_folder, run

from pipeline.engine.runner import Engine
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest

CANARY = "hush-c4n4ry"
TOKEN = f"https://a.example/?access_token={CANARY}&page=1"
WEB: dict[str, bytes | Reply | None] = {
    TOKEN: Reply(b"<p>words", headers=(("Set-Cookie", f"session={CANARY}"), ("Authentication-Info", CANARY))),
    "https://b.example/": Reply(status=302, headers=(("Location", f"https://me:{CANARY}@b.example/in?sig={CANARY}"),)),
    f"https://b.example/in?sig={CANARY}": b"<p>in",
    f"https://c.example/?password={CANARY}": None,
    "https://d.example/": Reply(status=302, headers=(("Location", f"ftp://me:{CANARY}@d.example/"),)),
    "https://e.example/": Reply(b"<p>bad", headers=(("a broken line", f"token={CANARY}"),)),
    f"https://f.example/?api_key={CANARY}": Reply(status=401, headers=(("WWW-Authenticate", f'Basic realm="{CANARY}"'),)),
}
LINKED = [url for url in WEB if "/in?" not in url]


def written(folder: Path) -> dict[str, bytes]:
    """Content of the folder's files, decompressed; of tables, every column."""
    content = {}
    for path in folder.rglob("*"):
        if path.suffix == ".gz":
            content[path.name] = gzip.decompress(path.read_bytes())
        elif path.suffix == ".parquet":
            table = files.read_table(str(path))
            content[path.name] = str(table.to_pylist()).encode()
        elif path.is_file():
            content[path.name] = path.read_bytes()
    return content


@pytest.fixture
def environment_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Passwords in the environment: netrc and proxies."""
    (tmp_path / "netrc").write_text(f"machine a.example login me password {CANARY}\ndefault login me password {CANARY}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://me:{CANARY}@127.0.0.1:9")


@pytest.mark.usefixtures("environment_secrets")
def test_secrets_are_written_nowhere(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    links = links_folder(tmp_path / "links", [link(url) for url in LINKED])
    with ReplayServer(WEB) as web:
        proxy = web.proxy_url.replace("http://", f"http://me:{CANARY}@")
        run(links, tmp_path / "pages", engine, proxy=proxy, ca_bundle=web.ca_bundle)
        assert web.hits[TOKEN] == 1
    manifest = StageManifest.load(str(tmp_path / "pages"))
    assert manifest.books.items_out == 2
    out = written(tmp_path / "pages")
    assert any(name.endswith(".warc.gz") for name in out)
    assert [name for name, data in out.items() if CANARY.encode() in data] == []
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capfd.readouterr())
    assert CANARY in str(os.environ)


def test_secrets_are_in_no_traceback(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: object, **__: object) -> None:
        raise RuntimeError("burst")

    links = links_folder(tmp_path / "links", [link(TOKEN)])
    monkeypatch.setattr("pipeline.pages.crawl.page_or_drop", burst)
    with ReplayServer(WEB) as web, pytest.raises(Exception, match="burst") as raised:
        run(
            links,
            tmp_path / "pages",
            engine,
            proxy=web.proxy_url.replace("http://", f"http://me:{CANARY}@"),
            ca_bundle=web.ca_bundle,
        )
    assert CANARY not in "".join(traceback.format_exception(raised.value))
    assert not (tmp_path / "pages" / "manifest.json").exists()
