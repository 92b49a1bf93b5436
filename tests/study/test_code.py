"""The version of the code that computes a result."""

import pytest

from cedistill.study import code
from cedistill.study.code import SILENT, code_version, loss_code, reached

FILES = {
    "__init__.py": "from house.never import x",
    "root.py": '"""Root."""\nfrom house import near\n\ndef work():\n    import house.rooms.late\n',
    "near.py": "import numpy\nfrom house.rooms.one import two\n",
    "rooms/__init__.py": "",
    "rooms/one.py": "def two(x):\n    'Two.'\n    return x + 2\n",
    "rooms/late.py": "y = 1\n",
    "never.py": "x = 1\n",
}


@pytest.fixture
def house(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "house"


def _version(house, **others):
    code_version.cache_clear()
    return code_version(("house.root",), package=house, **others)


def test_modules_are_reached_by_imports_of_every_kind(house):
    names = ["house.near", "house.rooms", "house.rooms.late", "house.rooms.one", "house.root"]
    assert reached(["house.root"], (), house) == names
    assert reached(["house.root"], ("house.rooms",), house) == ["house.near", "house.root"]


@pytest.mark.parametrize(
    ("name", "text", "same"),
    [
        ("rooms/one.py", '"""One."""\n\n\ndef two(x):\n    # Adds.\n    return (x + 2)\n', True),
        ("rooms/one.py", "def two(x):\n    'Two.'\n    return x + 3\n", False),
        ("rooms/one.py", "def two(x, y=None):\n    return x + 2\n", False),
        ("rooms/late.py", "y = 2\n", False),
        ("rooms/late.py", "y = '1'\n", False),
        ("rooms/late.py", "y = 1\nimport house.never\n", False),
        ("never.py", "x = 2\n", True),
        ("__init__.py", "", True),
    ],
)
def test_only_what_is_reached_and_means_something_counts(house, name, text, same):
    before = _version(house)
    (house / name).write_text(text)
    assert (_version(house) == before) == same


def test_a_module_that_is_left_out_does_not_count(house):
    before = _version(house, without=("house.rooms",))
    (house / "rooms" / "one.py").write_text("1")
    assert _version(house, without=("house.rooms",)) == before


def test_what_determines_models_and_figures_is_reached_and_what_does_not_is_not():
    package = code._PACKAGE
    training = set(reached(["cedistill.training.train"], SILENT, package))
    figures = set(reached(["cedistill.evaluation.evaluate", "cedistill.model.reranker"], SILENT, package))
    assert {"cedistill.losses.pairwise", "cedistill.data.lists", "cedistill.model.forward"} <= training
    assert {"cedistill.training.fit", "cedistill.training.validation", "cedistill.evaluation.measures"} <= training
    assert {"cedistill.evaluation.rerank", "cedistill.retrieval.bm25", "cedistill.model.forward"} <= figures
    parts = {name.split(".")[1] for name in training | figures}
    assert parts.isdisjoint({"report", "commands", "cli", "study", "doctor", "errors", "console"})
    assert not any(name.startswith("cedistill.training") for name in figures)
    # The choice of a checkpoint counts only where there is one.
    assert code.training_code(True) != code.training_code(False)


def test_a_user_s_own_loss_counts_by_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("a = 1")
    before = loss_code("mine:loss")
    (tmp_path / "mine.py").write_text("a = 2")
    assert before and loss_code("mine:loss") not in ("", before) and loss_code("bce") == ""
