import pytest

from pipeline.pages import robots_cache
from pipeline.pages.failures import RequestError, RequestFailure
from pipeline.pages.robots import MAX_AGE_SECONDS, Robots
from pipeline.pages.robots_cache import RobotsCache


def test_rules_and_errors_are_kept_per_origin() -> None:
    cache, error = RobotsCache(), RequestError(RequestFailure.DNS)
    rules = Robots.parse(b"User-agent: *\nDisallow: /", "webtext")
    cache.store("https://a.example/robots.txt", rules)
    cache.store("https://b.example/robots.txt", error)
    assert cache.get("https://a.example/x?y") is rules
    assert cache.get("https://b.example/") is error
    assert cache.get("http://a.example/x?y") is None


def test_rules_expire_after_a_day_and_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(robots_cache.time, "monotonic", lambda: clock[0])
    cache = RobotsCache()
    cache.store("https://a.example/robots.txt", RequestError(RequestFailure.TIMEOUT))
    clock[0] += MAX_AGE_SECONDS - 1
    assert isinstance(cache.get("https://a.example/"), RequestError)
    clock[0] += 1
    assert cache.get("https://a.example/") is None
    cache.store("https://a.example/robots.txt", Robots.unavailable("webtext"))
    assert isinstance(cache.get("https://a.example/"), Robots)
