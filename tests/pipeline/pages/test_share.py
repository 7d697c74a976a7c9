from pipeline.pages.share import Share, bucket_of, shares


def test_shards_join_until_a_part_is_full() -> None:
    shards = [("a", 5), ("b", 4), ("c", 3), ("d", 20), ("e", 1)]
    joined = [(share.shards, share.first, share.last, links) for share, links in shares(shards, 10)]
    assert joined == [(("a", "b"), 0, 2, 9), (("c",), 2, 3, 3), (("d",), 3, 4, 20), (("e",), 4, 5, 1)]


def test_every_url_is_owned_by_one_share() -> None:
    parts = [share for share, _ in shares([("", 1)] * 8, 3)]
    for number in range(100):
        url = f"https://h{number}.example/"
        assert [share.first <= bucket_of(url, 8) < share.last for share in parts] == [share.owns(url) for share in parts]
        assert sum(share.owns(url) for share in parts) == 1


def test_spellings_of_a_host_have_one_owner() -> None:
    share = Share((), 0, 1, 2)
    for number in range(20):
        spellings = (f"http://www.h{number}.com/a", f"https://h{number}.com:443/b", f"https://m.h{number}.com/")
        assert len({share.owns(url) for url in spellings}) == 1
