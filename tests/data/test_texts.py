import pickle

import pytest

from cedistill.data import texts
from cedistill.data.texts import Texts


@pytest.mark.parametrize("count", [0, 1, 3, 4, 8, 9])
def test_blocks_are_joined(monkeypatch, count):
    monkeypatch.setattr(texts, "_BLOCK", 4)
    rows = {f"id{number}": f"täxt {number}" for number in range(count)}
    table = Texts(rows.items())
    assert dict(table) == rows
    assert list(table) == list(rows)
    assert len(table) == count
    assert dict(pickle.loads(pickle.dumps(table))) == rows
    with pytest.raises(KeyError):
        table["other"]
