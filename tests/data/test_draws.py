import itertools
import math
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chisquare

from cedistill.config.objective import Lists, load_objective
from cedistill.config.train_data import TrainData, check_provides, needed
from cedistill.data.draws import Candidates, draw, negatives_of
from cedistill.data.lists import TrainingLists
from cedistill.data.pools import load_pools
from cedistill.errors import InputError

NAN = math.nan


def _lists(size=2, kind="positive-and-negatives", **negatives):
    return Lists(kind=kind, needs=("labels",), size=size, negatives=negatives)


def _pool(grades, teacher=None, first_rank=1):
    grades = np.array(grades, np.float32)
    scores = np.full(len(grades), NAN) if teacher is None else np.array(teacher, np.float32)
    return Candidates((grades >= 1).astype(np.float32), grades, scores, first_rank)


def _counts(pool, lists, draws=6000):
    random = np.random.default_rng(7)
    return Counter(tuple(draw(pool, int(np.argmax(pool.grades >= 1)), lists, random)[1:]) for _ in range(draws))


def _is(counts, expected):
    assert set(counts) == set(expected) and sum(expected.values()) == pytest.approx(1)
    total = sum(counts.values())
    return chisquare([counts[one] for one in expected], [share * total for share in expected.values()]).pvalue > 0.001


def test_uniform_over_the_ranks_of_a_range():
    pool = _pool([NAN, NAN, 1, NAN, 0, NAN, NAN, NAN])  # ranks 1 to 8, the relevant document at rank 3
    counts = _counts(pool, _lists(from_rank=2, to_rank=6))
    assert _is(counts, {(place,): 1 / 4 for place in (1, 3, 4, 5)})


def test_log_uniform_over_ranks():
    pool = _pool([NAN] * 9 + [1])
    counts = _counts(pool, _lists(over="log-ranks", from_rank=3))
    # ranks 3 to 9: log((r + 1) / r) / log(10 / 3)
    assert _is(counts, {(rank - 1,): math.log((rank + 1) / rank) / math.log(10 / 3) for rank in range(3, 10)})


def test_two_negatives_by_log_ranks_are_drawn_one_after_the_other_without_replacement():
    pool = _pool([NAN, NAN, NAN, 1])
    weight = {rank: math.log((rank + 1) / rank) for rank in (1, 2, 3)}
    expected = {
        (one - 1, other - 1): weight[one] / sum(weight.values()) * weight[other] / (sum(weight.values()) - weight[one])
        for one, other in itertools.permutations(weight, 2)
    }
    assert _is(_counts(pool, _lists(size=3, over="log-ranks")), expected)


def test_ranks_leave_out_a_document_put_before_the_candidates():
    pool = _pool([1, NAN, NAN, NAN], first_rank=0)
    assert negatives_of(pool, np.array([0]), _lists(from_rank=1, to_rank=2)).tolist() == [1, 2]


def test_margin_leaves_out_what_the_teacher_scores_close_to_the_positive():
    pool = _pool([1, NAN, NAN, 0, NAN, NAN], [5.0, 9.0, 4.5, 4.0, 3.9, NAN])
    positive = np.array([0])
    assert negatives_of(pool, positive, _lists(margin=1.0)).tolist() == [4, 5]  # 4.0 is within, NaN is not known
    assert negatives_of(pool, positive, _lists(margin=0)).tolist() == [2, 3, 4, 5]
    assert negatives_of(pool, positive, _lists()).tolist() == [1, 2, 3, 4, 5]
    unscored = _pool([1, NAN], [NAN, 9.0])
    assert negatives_of(unscored, positive, _lists(margin=1.0)).tolist() == [1]


def test_margin_of_a_ranking_is_that_of_its_lowest_relevant_document():
    pool = _pool([1, 2, 0, 0], [5.0, 3.0, 3.5, 1.0])
    chosen = draw(pool, -1, _lists(size=4, kind="ranking", margin=1.0), np.random.default_rng(0))
    assert sorted(chosen) == [0, 1, 3]


def test_lists_of_own_data_take_range_and_margin(tiny):
    """Candidates of q<i> by rank: d<i>, d<i+1>, …, d<i+9>; relevant d<i> and d<i+6>; d<j> scores 10.5 - j, j < 10."""
    data = TrainData(dataset=str(tiny), candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec",))

    def negatives(**chosen):
        lists = TrainingLists(load_pools(data, labels=True), _lists(size=20, **chosen), 3, 60)
        found = {}
        for one in lists:
            numbers = [int(text.split()[1]) for text in one.documents]
            found.setdefault((int(one.query[-1]), numbers[0]), set()).update(numbers[1:])
        return found

    assert negatives(from_rank=3, to_rank=5) == {
        (i, positive): {i + 2, i + 3, i + 4} for i in range(6) for positive in (i, i + 6)
    }
    found = negatives(margin=2.0)
    assert found[0, 0] == {3, 4, 5, 7, 8, 9}  # d1 and d2 are within 2 of d0
    assert found[0, 6] == {9}  # all above d6 and those within 2 of it go
    assert found[3, 3] == {6, 7, 8, 10, 11, 12}  # d10, d11 and d12 have no score
    assert (2, 8) in found and found[2, 8] == {10, 11}


def test_margin_keeps_the_teacher_of_an_objective_that_has_labels_only(tiny):
    data = TrainData(dataset=str(tiny), candidates="c", teachers=("t",))
    objective = load_objective("infonce")
    assert needed(objective, data).teachers == ()
    objective = load_objective("infonce", ["lists.negatives.margin=0.5"])
    assert needed(objective, data).teachers == ("t",)
    with pytest.raises(InputError, match=r"needs a teacher for lists\.negatives\.margin, found .* without --teacher"):
        check_provides(objective, TrainData(dataset=str(tiny), candidates="c"))


def test_pairs_have_their_negatives(tiny):
    (tiny / "three.tsv").write_text("q0\td0\td1\n")
    objective = load_objective("bce", ["lists.negatives.to_rank=5"])
    with pytest.raises(InputError, match=r"three\.tsv, whose negatives are given; drop lists\.negatives"):
        check_provides(objective, TrainData(dataset=str(tiny), pairs=f"{tiny}/three.tsv"))
    (tiny / "two.tsv").write_text("q0\td0\n")
    data = TrainData(dataset=str(tiny), pairs=f"{tiny}/two.tsv", candidates=f"{tiny}/candidates.trec")
    check_provides(objective, data)
    lists = TrainingLists(load_pools(data, labels=True), objective.lists, 1, 50)
    assert {int(one.documents[1].split()[1]) for one in lists} == {1, 2, 3, 4, 5}  # of the candidates but for d0


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        ({"from_rank": 0}, "greater than 0"),
        ({"from_rank": 5, "to_rank": 4}, r"to_rank: expected 5 \(from_rank\) or more, found 4"),
        ({"over": "log"}, "'uniform' or 'log-ranks'"),
        ({"margin": -1}, "greater than or equal to 0"),
        ({"margin": math.nan}, "finite"),
        ({"depth": 3}, "Extra inputs"),
    ],
)
def test_settings_out_of_range(negatives, message):
    with pytest.raises(ValidationError, match=message):
        _lists(**negatives)


def test_negatives_need_labels():
    with pytest.raises(ValidationError, match="negatives: expected 'labels' in needs"):
        Lists(kind="ranking", needs=("teacher-scores",), size=4, negatives={"to_rank": 10})
