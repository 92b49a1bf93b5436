import sys

import homes
import pytest

_of_home = {"home": None}


def _forget():
    _of_home["home"] = None
    for name in [one for one in sys.modules if one == "ir_datasets" or one.startswith("ir_datasets.")]:
        del sys.modules[name]


@pytest.fixture
def irds_home(tmp_path, monkeypatch):
    """An empty IR_DATASETS_HOME; ir_datasets takes it as it is imported, so that it is imported anew."""
    home = tmp_path / "irds"
    home.mkdir()
    yield from _as_home(home, monkeypatch)


@pytest.fixture(scope="session")
def all_layouts(tmp_path_factory):
    """A home with every data set of the shipped benchmarks, read by all tests that only read."""
    home = tmp_path_factory.mktemp("all") / "irds"
    for fill in (homes.beir, homes.nano_beir, homes.msmarco, homes.msmarco_v2, homes.lotte, homes.robust04):
        fill(home)
    return home


@pytest.fixture
def full_home(all_layouts, monkeypatch):
    yield from _as_home(all_layouts, monkeypatch)


def _as_home(home, monkeypatch):
    from cedistill.data import public

    monkeypatch.setenv("IR_DATASETS_HOME", str(home))
    if _of_home["home"] != home:
        _forget()
        public._known.cache_clear()
        _of_home["home"] = home
    yield home


@pytest.fixture(scope="package", autouse=True)
def forget_at_the_end():
    yield
    _forget()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """No test reaches out: every address fails as on a machine without network."""
    import requests

    def refuse(*args, **kwargs):
        raise requests.ConnectionError("no network in tests")

    monkeypatch.setattr(requests.Session, "request", refuse)
