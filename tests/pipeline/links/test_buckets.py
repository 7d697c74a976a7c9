from pipeline.links.buckets import bucket_count, bucket_ranges


def test_buckets_depend_on_the_data_alone() -> None:
    assert [bucket_count(n) for n in (0, 200, 201, 80_000, 80_001, 45_000_000)] == [1, 1, 4, 4, 8, 4096]
    for buckets in (1, 4, 256, 4096):
        parts = bucket_ranges(buckets)
        assert [b for part in parts for b in range(part.first, part.last)] == list(range(buckets))
        assert [s for part in parts for s in range(part.low, part.high)] == list(range(256))
    assert len(bucket_ranges(4096)) == 256
