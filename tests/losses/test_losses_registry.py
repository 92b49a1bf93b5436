import subprocess
import sys

import pytest
import torch
from loss_cases import lists

from cedistill import losses
from cedistill.losses import get_loss, loss_function, loss_names, register, registry

NAMES = (
    "adr-mse", "approx-ndcg", "bce", "hinge", "infonce", "kl-divergence",
    "lambda-loss", "list-mle", "margin-mse", "mse", "ranknet",
)  # fmt: skip


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Write a module that the import path holds, and forget it afterwards."""
    written = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        written.append(name)

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_names_are_those_of_the_functions():
    assert loss_names() == NAMES
    scores, targets, mask = lists()
    for name in NAMES:
        function = getattr(losses, name.replace("-", "_"))
        assert loss_function(name) is function
        assert torch.equal(get_loss(name)(scores, targets, mask), function(scores, targets, mask))
        assert torch.equal(get_loss(name)(scores, targets), function(scores, targets))
        assert torch.equal(get_loss(name)(scores=scores, targets=targets, mask=mask), function(scores, targets, mask))


def test_everything_public_can_be_imported():
    for name in losses.__all__:
        assert getattr(losses, name) is not None
    assert {name.replace("-", "_") for name in NAMES} | {"mixture_kl", "get_loss", "loss_names", "register"} <= set(
        losses.__all__
    )


def test_the_function_of_an_unknown_name():
    with pytest.raises(ValueError, match=r"unknown loss 'hing'; did you mean 'hinge'\?"):
        loss_function("hing")


def test_parameters_are_bound():
    scores, targets, mask = lists()
    bound = get_loss("lambda-loss", scheme="lambdarank", k=2)
    expected = losses.lambda_loss(scores, targets, mask, scheme="lambdarank", k=2)
    assert torch.equal(bound(scores, targets, mask), expected)
    assert not torch.equal(expected, losses.lambda_loss(scores, targets, mask))


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("margn-mse", {}, f"unknown loss 'margn-mse'; did you mean 'margin-mse'? known: {', '.join(NAMES)}"),
        ("margin_mse", {}, f"unknown loss 'margin_mse'; did you mean 'margin-mse'? known: {', '.join(NAMES)}"),
        ("zzz", {}, f"unknown loss 'zzz'; known: {', '.join(NAMES)}"),
        ("hinge", {"margn": 1}, "unknown parameter 'margn' of loss 'hinge'; did you mean 'margin'? known: margin"),
        ("bce", {"margin": 1}, "unknown parameter 'margin' of loss 'bce'; known: none"),
        ("bce", {"mask": None}, "unknown parameter 'mask' of loss 'bce'; known: none"),
        ("adr-mse", {"tau": -1}, "tau must be a finite number > 0, found -1"),
    ],
)
def test_what_is_wrong_is_said_at_once(name, parameters, text):
    with pytest.raises(ValueError) as error:
        get_loss(name, **parameters)
    assert str(error.value) == text


def test_register(own_registry):
    @register("double-mse")
    def double_mse(scores, targets, mask=None, *, factor=2.0):
        return factor * losses.mse(scores, targets, mask)

    scores, targets, mask = lists()
    assert "double-mse" in loss_names()
    assert list(loss_names()) == sorted(loss_names())
    assert double_mse.__name__ == "double_mse"
    assert torch.equal(get_loss("double-mse", factor=3.0)(scores, targets, mask), 3 * losses.mse(scores, targets, mask))
    with pytest.raises(ValueError, match=r"unknown parameter 'facto'.*did you mean 'factor'"):
        get_loss("double-mse", facto=1)


def test_register_with_a_check_of_the_parameters(own_registry):
    def check(factor=1.0):
        if factor > 5:
            raise ValueError(f"factor must be at most 5, found {factor}")

    register("checked", check=check)(lambda scores, targets, mask=None, factor=1.0: factor * scores.sum())
    assert get_loss("checked", factor=5)(torch.ones(1, 2), torch.ones(1, 2)) == 10
    with pytest.raises(ValueError, match="at most 5, found 6"):
        get_loss("checked", factor=6)


@pytest.mark.parametrize(
    ("name", "text"), [("mse", "'mse' is registered already"), ("", "non-empty"), ("a:b", "colon")]
)
def test_register_refuses_a_name(own_registry, name, text):
    before = get_loss("mse").func
    with pytest.raises(ValueError, match=text):
        register(name)(lambda scores, targets, mask=None: scores.sum())
    assert get_loss("mse").func is before
    assert loss_names() == NAMES


def test_a_loss_of_the_users_own(write_module):
    write_module(
        "own_loss_module",
        "def summed(scores, targets, mask=None, *, weight=1.0):\n    return weight * (scores - targets).sum()\n",
    )
    loss = get_loss("own_loss_module:summed", weight=2.0)
    assert loss(torch.ones(1, 3), torch.zeros(1, 3)) == 6
    assert loss_names() == NAMES
    with pytest.raises(ValueError, match=r"unknown parameter 'wight'.*did you mean 'weight'"):
        get_loss("own_loss_module:summed", wight=2.0)


def test_a_parameter_of_the_users_own_has_the_users_range(write_module):
    write_module(
        "own_margin_module", "def f(scores, targets, mask=None, margin=0):\n    return scores.sum() + margin\n"
    )
    assert get_loss("own_margin_module:f", margin=-1)(torch.zeros(1, 1), torch.zeros(1, 1)) == -1


@pytest.mark.parametrize(
    ("text", "reference", "said"),
    [
        (None, "not_there_at_all:f", "cannot import module 'not_there_at_all': No module named"),
        (None, ":f", "cannot import module ''"),
        ("raise RuntimeError('no such\\ndevice')", "own_broken:f", "cannot import module 'own_broken': no such device"),
        ("def f(:", "own_syntax:f", "cannot import module 'own_syntax': "),
        ("def my_loss(s, t, m): ...", "own_other:my_los", "has no function 'my_los'; did you mean 'my_loss'"),
        ("f = 3", "own_number:f", "expected a function of (scores, targets, mask), found 3"),
        ("class F: ...", "own_class:F", "expected a function of (scores, targets, mask), found a class"),
        ("def f(scores, targets): ...", "own_two:f", "cannot be called as (scores, targets, mask"),
        ("def f(scores, targets, mask, needed): ...", "own_needy:f", "missing a required argument: 'needed'"),
    ],
)  # fmt: skip
def test_a_loss_that_cannot_be_had(write_module, text, reference, said):
    if text is not None:
        write_module(reference.partition(":")[0], text)
    with pytest.raises(ValueError) as error:
        get_loss(reference)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_module_of_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "own_here_module.py").write_text("def f(scores, targets, mask=None):\n    return scores.sum()\n")
    monkeypatch.chdir(tmp_path)
    path = [entry for entry in sys.path if entry not in ("", str(tmp_path))]
    monkeypatch.setattr(sys, "path", path)
    assert get_loss("own_here_module:f")(torch.ones(2, 2), torch.ones(2, 2)) == 4
    assert str(tmp_path) not in sys.path
    sys.modules.pop("own_here_module")


@pytest.mark.slow
def test_the_losses_can_be_imported_alone():
    code = "import sys, cedistill.losses; print(*sorted(m for m in sys.modules if m.startswith('cedistill')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert all(module == "cedistill" or module.startswith("cedistill.losses") for module in loaded)
