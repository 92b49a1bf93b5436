from concurrent.futures import ThreadPoolExecutor

import torch

from cedistill.model.dropout import Dropout, draw_so, drawn_from, dropped


def test_values_are_dropped_at_the_rate_and_scaled():
    torch.manual_seed(0)
    values = torch.full((1001, 101), 3.0, requires_grad=True)
    for rate in (0.1, 0.5):
        output = dropped(values, rate, training=True)
        there = output != 0
        torch.testing.assert_close(output[there], torch.full_like(output[there], 3 / (1 - rate)))
        spread = (rate * (1 - rate) / output.numel()) ** 0.5
        assert abs(there.double().mean() - (1 - rate)) < 4 * spread
        (gradient,) = torch.autograd.grad((output * 2).sum(), values)
        torch.testing.assert_close(gradient, there * 2 / (1 - rate))


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    there = (dropped(torch.ones(400_000), 0.5, training=True) != 0).double()
    for distance in (1, 2, 3, 4):
        pairs = (there[distance:] * there[:-distance]).mean()
        assert abs(pairs - 0.25) < 4 * (0.25 * 0.75 / len(there)) ** 0.5


def test_the_seed_tells_what_is_dropped():
    values = torch.ones(50, 7)
    torch.manual_seed(3)
    first = dropped(values, 0.3, training=True)
    torch.manual_seed(3)
    assert torch.equal(dropped(values, 0.3, training=True), first)
    assert not torch.equal(dropped(values, 0.3, training=True), first)


def test_nothing_is_dropped_outside_training():
    values = torch.ones(3)
    assert dropped(values, 0.5, training=False) is values and dropped(values, 0.0, training=True) is values


def test_seeds_of_threads_do_not_mix():
    values = torch.ones(20_000)

    def drop(seed):
        with drawn_from(seed):
            return torch.stack([dropped(values, 0.3, training=True) for _ in range(20)])

    alone = [drop(seed) for seed in (1, 2)]
    torch.manual_seed(9)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(drop, (1, 2)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert not torch.equal(*together)
    assert torch.equal(torch.get_rng_state(), before)  # nothing came from the process's generator


def test_modules_draw_so_too():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5))
    draw_so(model)
    assert type(model[1]) is Dropout and isinstance(model[1], torch.nn.Dropout)
    values = torch.ones(1000, 3)
    torch.manual_seed(4)
    expected = dropped(values, 0.5, training=True)
    torch.manual_seed(4)
    assert torch.equal(model[1](values), expected)
    assert model.eval()[1](values) is values
