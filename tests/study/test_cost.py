from cedistill.study.cost import Meter, scoring_cost


def test_a_meter_counts_what_goes_by_between_reports_of_a_data_set():
    now, seen = iter([5.0, 7.0, 8.0, 100.0, 104.0]), []
    meter = Meter(lambda *numbers: seen.append(numbers), lambda: next(now))
    assert meter.pairs_per_second is None
    for done, total in ((100, 300), (200, 300), (300, 300), (10, 30), (30, 30)):
        meter(done, total)
    # 200 pairs in 3 seconds, 20 in 4: what came before a data set's first report is not known.
    assert (meter.pairs, meter.seconds) == (220, 7.0) and meter.pairs_per_second == 220 / 7
    assert seen[0] == (100, 300) and len(seen) == 5


def test_parameters_are_counted_and_unknown_speed_is_left_out():
    import torch

    assert scoring_cost(torch.nn.Linear(3, 2), Meter(lambda *_: None)) == {"parameters": 8}
