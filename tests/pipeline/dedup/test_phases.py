import pytest

from pipeline.dedup.phases import group_by_rows


@pytest.mark.parametrize("most", [1, 3, 7, 100])
def test_files_of_pairs_are_grouped_by_their_rows(most: int) -> None:
    paths, counts = [f"p{i}" for i in range(8)], [0, 3, 1, 1, 9, 0, 0, 2]
    groups = list(group_by_rows(paths, counts, most))
    assert [path for group in groups for path in group] == paths
    sizes = [[counts[int(path[1:])] for path in group] for group in groups]
    assert all(sum(group) - group[-1] < most for group in sizes)
    assert len(groups) <= sum(counts) // most + 1
