from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from musicllm.data.records import SPLITS
from musicllm.data.split import Groups, id_hash, place, split_groups

TRAIN, VALIDATION, TEST = range(len(SPLITS))


def keys_of(number: int) -> npt.NDArray[np.uint64]:
    return id_hash([f"tune {i}" for i in range(number)])


def test_shares_are_filled() -> None:
    places = split_groups(np.arange(200), keys_of(200), 0, 0.05, 0.1)

    assert Counter(places.tolist()) == {TRAIN: 170, VALIDATION: 10, TEST: 20}


def test_a_group_is_never_divided() -> None:
    groups = np.arange(200) // 4 * 4

    places = split_groups(groups, keys_of(200), 0, 0.1, 0.1)

    assert len(set(zip(groups.tolist(), places.tolist(), strict=True))) == 50
    assert Counter(places.tolist()) == {TRAIN: 160, VALIDATION: 20, TEST: 20}


def test_a_split_takes_the_group_that_reaches_its_share_and_no_further_one() -> None:
    # groups of 5 in 20 records: a tenth is 2 records, so one whole group each
    places = split_groups(np.arange(20) // 5 * 5, keys_of(20), 0, 0.1, 0.1)

    assert Counter(places.tolist()) == {TRAIN: 10, VALIDATION: 5, TEST: 5}


def test_a_group_larger_than_all_shares_goes_to_one_split() -> None:
    assert split_groups(np.zeros(6, np.int64), keys_of(6), 0, 0.1, 0.1).tolist() == [TEST] * 6


def test_the_same_seed_gives_the_same_split_whatever_the_order() -> None:
    keys, groups = keys_of(50), np.arange(50)
    places = split_groups(groups, keys, 3, 0.1, 0.1)

    assert split_groups(groups, keys[::-1], 3, 0.1, 0.1).tolist() == places[::-1].tolist()
    assert split_groups(groups, keys, 4, 0.1, 0.1).tolist() != places.tolist()


def test_one_record_more_moves_few_others() -> None:
    keys = keys_of(1001)
    before = split_groups(np.arange(1000), keys[:1000], 0, 0.05, 0.1)

    after = split_groups(np.arange(1001), keys, 0, 0.05, 0.1)[:1000]

    assert np.count_nonzero(before != after) <= 4


def test_no_shares_leave_all_for_training() -> None:
    assert split_groups(np.arange(2), keys_of(2), 0, 0.0, 0.0).tolist() == [TRAIN, TRAIN]


def test_no_records_have_no_splits() -> None:
    assert split_groups(np.arange(0), keys_of(0), 0, 0.1, 0.1).tolist() == []


def test_the_hash_of_an_id_never_changes() -> None:
    # blake2b with 8 bytes, little end first
    assert [hex(value) for value in id_hash(["a"]).tolist()] == ["0x2f42665b399ef840"]


def placed(
    split: list[int], closed: list[int], group: list[int], share: float = 0.0
) -> tuple[list[int], list[bool]]:
    given = Groups(
        np.array(split, np.int8), np.array(closed, np.int8), np.array(group), keys_of(len(split))
    )
    places, is_related = place(given, 0, share, share)
    return places.tolist(), is_related.tolist()


NONE, GIVES_TEST, GIVES_BOTH = 0, 1 << TEST, 1 << TEST | 1 << VALIDATION


def test_a_record_follows_the_most_strictly_held_out_of_its_group() -> None:
    places, is_related = placed([-1, TRAIN, TEST, VALIDATION, -1], [NONE] * 5, [0, 0, 0, 0, 4])
    assert places == [TEST, TRAIN, TEST, VALIDATION, TRAIN]
    assert is_related == [False, True, False, False, False]


def test_a_published_border_between_relatives_stays_where_it_is() -> None:
    # the first two are of a source that gives its test split, the third of one that gives none
    places, is_related = placed([-1, TEST, -1], [GIVES_TEST, GIVES_TEST, NONE], [0, 0, 0])
    assert places == [TRAIN, TEST, TEST]
    assert is_related == [True, False, False]
    assert placed([-1, VALIDATION], [GIVES_TEST] * 2, [0, 0])[0] == [VALIDATION, VALIDATION]


def test_only_what_a_source_does_not_give_is_drawn() -> None:
    closed = [NONE] * 100 + [GIVES_TEST] * 100 + [GIVES_BOTH] * 100
    split = [-1] * 300
    split[150:160] = [TEST] * 10

    places, _ = placed(split, closed, list(range(300)), share=0.1)

    assert Counter(places[:100]) == {TRAIN: 80, VALIDATION: 10, TEST: 10}
    assert Counter(places[100:200]) == {TRAIN: 81, VALIDATION: 9, TEST: 10}
    assert Counter(places[200:]) == {TRAIN: 100}
    keys = keys_of(300)[:100]
    assert places[:100] == split_groups(np.arange(100), keys, 0, 0.1, 0.1).tolist()


def test_a_group_of_two_sources_is_drawn_for_no_split_that_one_of_them_gives() -> None:
    places, _ = placed([-1] * 4, [NONE, GIVES_BOTH] * 2, [0, 0, 2, 2], share=0.5)
    assert places == [TRAIN] * 4
