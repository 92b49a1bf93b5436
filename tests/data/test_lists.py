import numpy as np
import pytest
import torch

from cedistill.config.objective import Lists
from cedistill.config.train_data import TrainData
from cedistill.data.lists import TrainingLists
from cedistill.data.pools import load_pools
from cedistill.errors import InputError


def _lists(tiny, count=200, seed=5, split="test", **fields):
    data = TrainData(
        dataset=f"{tiny}:{split}", candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec",)
    )
    lists = Lists(**{"kind": "pairs", "needs": ("labels",), "size": 2, **fields})
    return TrainingLists(load_pools(data, labels="labels" in lists.needs), lists, seed, count)


def _number(text):
    return int(text.split()[1])


def test_labelled_pairs_are_a_relevant_document_and_one_that_is_not(tiny):
    for one in _lists(tiny):
        topic = int(one.query[-1])
        assert one.targets.tolist() == [1.0, 0.0]
        assert _number(one.documents[0]) in (topic, topic + 6) and _number(one.documents[1]) not in (topic, topic + 6)


def test_each_relevant_document_is_visited_once_per_round(tiny):
    lists = _lists(tiny, count=24)  # 6 queries with 2 relevant documents each: two rounds
    for start in (0, 12):
        seen = [(lists[i].query, lists[i].documents[0]) for i in range(start, start + 12)]
        assert len(set(seen)) == 12


def test_relevant_grade_decides_what_is_relevant(tiny):
    for one in _lists(tiny, relevant_grade=2):
        assert _number(one.documents[0]) == int(one.query[-1])


def test_teacher_pairs_put_the_better_document_first_and_carry_its_scores(tiny):
    for one in _lists(tiny, needs=("teacher-scores",)):
        assert one.targets[0] > one.targets[1]
        assert one.targets.tolist() == [10.5 - _number(text) for text in one.documents]


def test_one_positive_and_negatives_without_replacement(tiny):
    for one in _lists(tiny, kind="positive-and-negatives", size=6):
        assert one.targets.tolist() == [1, 0, 0, 0, 0, 0] and len(set(one.documents)) == 6


def test_a_list_as_long_as_the_ranking_holds_what_the_teacher_scored(tiny):
    lists = _lists(tiny, kind="ranking", needs=("teacher-ranking",), size=50)
    for one in lists:
        topic = int(one.query[-1])
        assert sorted(_number(text) for text in one.documents) == list(range(topic, 10))


def test_ranking_by_labels_holds_grades_and_both_kinds_of_documents(tiny):
    for one in _lists(tiny, kind="ranking", size=5):
        assert len(one.documents) == 5 and sorted(one.targets.tolist()) == [0, 0, 0, 1, 2]


def test_ranking_by_scores_draws_anew_each_time(tiny):
    lists = _lists(tiny, kind="ranking", needs=("teacher-scores",), size=3)
    drawn = {frozenset(one.documents) for one in lists if one.query.endswith("0")}
    assert len(drawn) > 10 and all(len(documents) == 3 for documents in drawn)


def _of_two_teachers(tiny, **fields):
    """The list of q4, whose candidates are d4 to d13: one teacher scored d4 to d9, another d6 to d11."""
    other = tiny / "other.trec"
    other.write_text("".join(f"q{i} Q0 d{j} 1 {2 * j} x\n" for i in range(6) for j in range(6, 12)))
    data = TrainData(
        dataset=str(tiny), candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec", str(other))
    )
    lists = Lists(kind="ranking", needs=("teacher-scores",), size=10, **fields)
    one = next(one for one in TrainingLists(load_pools(data, labels=False), lists, 1, 6) if one.query.endswith("4"))
    order = np.argsort([_number(text) for text in one.documents])
    assert [_number(one.documents[place]) for place in order] == list(range(4, 12))  # d12, d13: no teacher, no place
    return one.targets[order], None if one.teachers is None else one.teachers[:, order]


def test_targets_of_several_teachers_are_the_mean_of_those_that_scored(tiny, caplog):
    targets, teachers = _of_two_teachers(tiny)
    assert "in 6 of 6 queries teachers scored different documents" in caplog.text and "lists.normalise" in caplog.text
    # 10.5 − j, 2 j, or their mean.
    assert targets.tolist() == [6.5, 5.5, *((10.5 + j) / 2 for j in range(6, 10)), 20, 22]
    assert teachers is None


def test_each_teacher_is_normalised_over_what_it_scored_of_the_query(tiny, caplog):
    targets, teachers = _of_two_teachers(tiny, normalise="minmax", teachers="each")
    assert "different documents" not in caplog.text
    nan = np.nan  # one falls from 1 to 0 over d4 to d9, the other rises from 0 to 1 over d6 to d11
    falls, rises = [1, 0.8, 0.6, 0.4, 0.2, 0, nan, nan], [nan, nan, 0, 0.2, 0.4, 0.6, 0.8, 1]
    np.testing.assert_allclose(teachers, [falls, rises], atol=1e-6)
    np.testing.assert_allclose(targets, [1, 0.8, 0.3, 0.3, 0.3, 0.3, 0.8, 1], atol=1e-6)
    assert targets.dtype == teachers.dtype == np.float32


def test_teachers_that_contradict_each_other_are_a_signal_only_where_each_is_seen(tiny):
    reverse = tiny / "reverse.trec"
    reverse.write_text("".join(f"q{i} Q0 d{j} 1 {j} x\n" for i in range(6) for j in range(10)))
    data = TrainData(
        dataset=str(tiny), candidates=f"{tiny}/candidates.trec", teachers=(f"{tiny}/teacher.trec", str(reverse))
    )
    pools = load_pools(data, labels=False)
    fields = {"kind": "ranking", "needs": ("teacher-scores",), "size": 5}
    assert len({one.query for one in TrainingLists(pools, Lists(**fields, teachers="each"), 1, 6)}) == 6
    with pytest.raises(InputError, match="scored differently"):
        TrainingLists(pools, Lists(**fields), 1, 6)


def test_pairs_of_a_file_are_not_normalised(tiny):
    (tiny / "five.tsv").write_text("9.5\t-2\tq0\td0\td1\n")
    pools = load_pools(TrainData(dataset=str(tiny), pairs=f"{tiny}/five.tsv"), labels=False)
    lists = Lists(kind="pairs", needs=("teacher-scores",), size=2, normalise="zscore")
    with pytest.raises(InputError, match="expected 'none' with a file of pairs, found 'zscore'"):
        TrainingLists(pools, lists, 1, 4)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_lists_depend_on_seed_and_number_alone(tiny, workers):
    def drawn(seed, workers):
        lists = _lists(tiny, count=60, seed=seed)
        loader = torch.utils.data.DataLoader(lists, batch_size=4, num_workers=workers, collate_fn=list)
        return [(one.query, one.documents, one.targets.tolist()) for batch in loader for one in batch]

    assert drawn(5, workers) == drawn(5, 0) != drawn(6, 0)
    lists = _lists(tiny, count=60)
    assert [lists[37].documents, lists[3].documents] == [drawn(5, 0)[37][1], drawn(5, 0)[3][1]]


def test_a_teacher_that_knows_other_documents_gives_nothing(tiny):
    (tiny / "teacher.trec").write_text("q0 Q0 d29 1 1.0 x\n")
    with pytest.raises(InputError, match="found none in 6 queries"):
        _lists(tiny, needs=("teacher-scores",))


def test_a_constant_teacher_gives_nothing(tiny):
    (tiny / "teacher.trec").write_text("".join(f"q{i} Q0 d{j} 1 3 x\n" for i in range(6) for j in range(12)))
    with pytest.raises(InputError, match="scored differently"):
        _lists(tiny, needs=("teacher-ranking",), kind="ranking", size=5)


def test_no_document_of_the_grade_gives_nothing(tiny):
    with pytest.raises(InputError, match="grade 3 or more"):
        _lists(tiny, relevant_grade=3)


def test_short_pools_give_short_lists(tiny):
    one = _lists(tiny, kind="positive-and-negatives", size=50)[0]
    assert len(one.documents) == len(set(one.documents)) == 9  # 10 candidates, of them one other relevant document
    assert one.targets.dtype == np.float32
