from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from musicllm.data.records import SPLITS
from musicllm.data.split import id_hash, split_groups

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
