from cedistill.training.exchange import share
from cedistill.training.loading import Shares


def test_shares_are_the_lists_of_a_step_in_order():
    assert [list(share(7, number, 3)) for number in range(3)] == [[0, 1, 2], [3, 4], [5, 6]]
    parts = [list(Shares(2, 7, number, 3)) for number in range(3)]
    assert parts[2] == [[5, 6], [12, 13]] and len(Shares(2, 7, 2, 3)) == 2
    assert [one for step in range(2) for part in parts for one in part[step]] == list(range(14))
