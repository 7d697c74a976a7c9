from random import Random

import pyarrow as pa
import pytest
from dumps import many_rows

from pipeline.links.fold import fold, select
from pipeline.links.intake import RowBuffer, accept
from pipeline.links.rules import LinkRules
from pipeline.links.settings import LinksSettings, SourceKind
from pipeline.reddit import Post


def table_of(posts: list[Post], settings: LinksSettings) -> pa.Table:
    rules, buffer = LinkRules.of(settings, SourceKind.DUMP), RowBuffer()
    for post in posts:
        if isinstance(row := accept(post, rules), tuple):
            buffer.add(row)
    return buffer.take()


def posts_of(seed: int) -> list[Post]:
    """Submissions of few pages, some repeated with another karma, time, URL or subreddit."""
    random = Random(seed)
    posts = []
    for r in many_rows(400, seed):
        post = Post(r["id"], "aww", r["score"], r["created_utc"], r["url"], is_self=False, over_18=False, quarantine=False)
        posts.append(post)
        if random.random() < 0.2:
            url = post.url.replace("https:", "http:") + random.choice(["", "#top", "?utm_source=x"])
            score, created_at = post.score + random.randrange(2), post.created_at + random.randrange(2)
            copy = {"is_self": False, "over_18": False, "quarantine": False}
            posts.append(Post(post.id, random.choice(["aww", "books"]), score, created_at, url, **copy))
    return posts


@pytest.mark.parametrize("karma", ["max", "sum"])
def test_the_order_of_submissions_changes_neither_links_nor_drops(karma: str) -> None:
    settings = LinksSettings(karma=karma, min_karma=6)
    posts = posts_of(1)
    kept, drops = select(table_of(posts, settings), settings)
    assert len(drops) > 20
    for seed in range(5):
        Random(seed).shuffle(posts)
        again, dropped_again = select(table_of(posts, settings), settings)
        assert again.equals(kept)
        assert fold(again, karma).equals(fold(kept, karma))
        assert sorted(map(repr, dropped_again)) == sorted(map(repr, drops))


def test_an_empty_table_gives_no_links() -> None:
    settings = LinksSettings()
    empty = table_of(posts_of(1), settings).slice(0, 0)
    kept, drops = select(empty, settings)
    assert (fold(kept, "max").num_rows, drops) == (0, [])
