"""A network that fails and comes back, and a host that changes its mind half-way."""

import random
import socket
import threading
from pathlib import Path
from typing import Any

from servers.hostile import PAGE, HostileServer
from servers.library import pages
from servers.outcomes import crawl
from servers.replay import ReplayServer, Reply, Reset
from servers.stage_runs import contents, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages import crawl as crawl_module
from pipeline.pages.client import RequestLimits


class Resetting(ReplayServer):
    """Sends a TCP reset, before the answer, in its head or in its body, five times in a hundred."""

    draw = random.Random(5)
    resets = 0

    def reply(self, url: str) -> Reply | Reset | None:
        answer = super().reply(url)
        if not isinstance(answer, Reply):
            return answer
        with self._lock:
            if self.draw.random() >= 0.05:
                return answer
            self.resets += 1
            whole = answer.to_bytes()
            return Reset(whole[: (0, 20, len(whole) // 2)[self.resets % 3]])


class ChangingRules(ReplayServer):
    """Forbids everything from its third page on."""

    def reply(self, url: str) -> Reply | Reset | None:
        answer = super().reply(url)
        asked = sum(times for name, times in self.asked.items() if not name.endswith("robots.txt"))
        if url.endswith("/robots.txt"):
            return Reply(b"User-agent: *\nDisallow: /" if asked >= 3 else b"User-agent: *\nAllow: /", "text/plain")
        return answer


def test_five_in_a_hundred_resets_change_no_byte(tmp_path: Path, engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr(crawl_module, "back_off_seconds", lambda *_: 0.01)
    web = {url: page for url, page in pages(60).items() if page is not None}
    links = links_folder(tmp_path / "links", [link(url) for url in web])
    for name, kind in (("calm", ReplayServer), ("resetting", Resetting)):
        with kind(web) as server:
            run(links, tmp_path / name, engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle, retries=4)
    assert isinstance(server, Resetting)
    assert server.resets
    calm, resetting = contents(tmp_path / "calm"), contents(tmp_path / "resetting")
    assert [name for name in calm.keys() | resetting.keys() if calm.get(name) != resetting.get(name)] == []


def test_rules_that_change_half_way_lose_no_link(tmp_path: Path, engine: Engine) -> None:
    """Rules are read once a host in a crawl: its pages are taken by the rules that stood at its first."""
    web = {f"https://one.example/{i}": b"<html><p>Words" for i in range(12)}
    links = links_folder(tmp_path / "links", [link(url) for url in web])
    with ChangingRules(web) as server:
        run(links, tmp_path / "pages", engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle)
        assert server.asked["https://one.example/robots.txt"] == 1
    assert {page.url for page in pages_of(tmp_path / "pages")} | drops_of(tmp_path / "pages").keys() == web.keys()


def test_names_that_come_back_are_pages_and_those_that_do_not_are_named(monkeypatch: Any) -> None:
    monkeypatch.setattr(crawl_module, "back_off_seconds", lambda *_: 0.01)
    lock, asked = threading.Lock(), dict[str, int]()
    with HostileServer() as server:
        resolve = server.lookup

        def failing(host: str, port: int, **options: Any) -> list[Any]:
            with lock:
                asked[host] = asked.get(host, 0) + 1
            if asked[host] < 3 or ".n9." in host:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return resolve(host, port, **options)

        monkeypatch.setattr(server, "lookup", failing)
        urls = [server.url("good", number=number) for number in range(1, 10)]
        crawled = crawl(server, urls, 8, RequestLimits(5.0), retries=4, robots=False)
    assert [crawled.word(url) for url in urls] == [PAGE] * 8 + ["dns"]
