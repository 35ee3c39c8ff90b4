from __future__ import annotations

from collections import Counter

from musicllm.data.split import split_groups


def test_shares_are_filled() -> None:
    places = split_groups([f"g{i}" for i in range(200)], 0, 0.05, 0.1)

    assert Counter(places) == {"train": 170, "validation": 10, "test": 20}


def test_a_group_is_never_divided() -> None:
    groups = [f"g{i // 4}" for i in range(200)]

    places = split_groups(groups, 0, 0.1, 0.1)

    assert len(set(zip(groups, places, strict=True))) == 50
    assert Counter(places)["test"] == 20


def test_the_same_seed_gives_the_same_split_whatever_the_order() -> None:
    groups = [f"g{i}" for i in range(50)]
    places = dict(zip(groups, split_groups(groups, 3, 0.1, 0.1), strict=True))

    backwards = groups[::-1]
    assert dict(zip(backwards, split_groups(backwards, 3, 0.1, 0.1), strict=True)) == places
    assert dict(zip(groups, split_groups(groups, 4, 0.1, 0.1), strict=True)) != places


def test_one_tune_more_moves_few_others() -> None:
    groups = [f"g{i}" for i in range(1000)]
    before = split_groups(groups, 0, 0.05, 0.1)

    after = split_groups([*groups, "new"], 0, 0.05, 0.1)[:-1]

    assert sum(one != other for one, other in zip(before, after, strict=True)) <= 4


def test_no_shares_leave_all_for_training() -> None:
    assert set(split_groups(["a", "b"], 0, 0.0, 0.0)) == {"train"}
