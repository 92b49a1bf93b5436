import pytest

from cedistill.config.objective import load_objective, read_objective, schedule
from cedistill.config.shipped import shipped_names
from cedistill.config.train_data import TrainData, check_provides
from cedistill.errors import InputError

STUDY = {
    # name: (loss, kind, needs, size, lists per step of the base group, of the mini group)
    "bce": ("bce", "pairs", ("labels",), 2, 32, 64),
    "hinge": ("hinge", "pairs", ("labels",), 2, 32, 64),
    "margin-mse": ("margin-mse", "pairs", ("teacher-scores",), 2, 32, 64),
    "infonce": ("infonce", "positive-and-negatives", ("labels",), 8, 4, 8),
    "distill-ranknet": ("ranknet", "ranking", ("teacher-ranking",), 50, 1, 1),
    "adr-mse": ("adr-mse", "ranking", ("teacher-ranking",), 50, 1, 1),
}


@pytest.mark.parametrize("name", STUDY)
def test_the_study_is_as_published(name):
    one = load_objective(name)
    loss, kind, needs, size, base, mini = STUDY[name]
    assert (one.loss, one.lists.kind, one.lists.needs, one.lists.size) == (loss, kind, needs, size)
    assert schedule(one, "base") == (200_000, 5_000, 1e-5, base)
    assert schedule(one, "mini") == (200_000, 5_000, 7e-6, mini)
    training = one.training
    assert (training.adam_epsilon, training.weight_decay, training.max_grad_norm) == (1e-8, 0, 1)
    assert (training.query_tokens, training.document_tokens, training.validate_every) == (32, 256, 5000)


def test_every_shipped_objective_loads_and_names_its_paper():
    assert set(shipped_names("objectives")) >= {*STUDY, "kl-distill", "lambda"}
    for name in shipped_names("objectives"):
        assert load_objective(name).paper and load_objective(name).lists.source


def test_settings_take_the_place_of_the_files():
    one = load_objective("adr-mse", ["training.learning_rate=2e-5", "lists.size=10", "parameters.tau=0.5"])
    assert schedule(one, "mini").learning_rate == schedule(one, "base").learning_rate == 2e-5
    assert one.lists.size == 10 and one.parameters == {"tau": 0.5}
    assert schedule(load_objective("bce", ["training.base.pairs=7"]), "base").lists_per_step == 7
    assert schedule(load_objective("bce", ["training.queries=9"]), "base").lists_per_step == 9


def test_warm_up_keeps_its_share_of_changed_steps_unless_it_is_given():
    assert schedule(load_objective("bce", ["training.steps=1000"]), "base").warmup_steps == 25
    both = ["training.steps=1000", "training.warmup_steps=100"]
    assert schedule(load_objective("bce", both), "base").warmup_steps == 100


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.learning_rat=1", "unknown key 'training.learning_rat'; did you mean 'training.learning_rate'"),
        ("trainning.steps=1", "did you mean 'training'"),
        ("training.steps=0", "training.steps: expected to be greater than 0"),
        ("training.steps=many", "training.steps: expected to be a valid integer"),
        ("lists.kind=triples", "lists.kind: expected to be 'pairs', 'positive-and-negatives' or 'ranking'"),
        ("lists.size=3", "expected 2 for lists of kind 'pairs', found 3"),
        ("training.base.queries=3", "exactly one of 'pairs' and 'queries'"),
        ("parameters.margin=1", "unknown parameter 'margin' of loss 'bce'"),
        ("loss=bcee", "unknown loss 'bcee'; did you mean 'bce'"),
        ("title.x=1", "'title' is a value, not a table"),
        ("nothing", "expected --set KEY=VALUE"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(setting, message):
    with pytest.raises(InputError) as caught:
        load_objective("bce", [setting])
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_parameters_out_of_range_are_refused_on_loading():
    with pytest.raises(InputError, match=r"hinge\.toml: .*margin"):
        load_objective("hinge", ["parameters.margin=-1"])


def test_unknown_names_and_broken_files(tmp_path):
    with pytest.raises(InputError, match="unknown objective 'margn-mse'; did you mean 'margin-mse'"):
        read_objective("margn-mse")
    path = tmp_path / "own.toml"
    with pytest.raises(InputError, match="expected a TOML file, found none"):
        read_objective(str(path))
    path.write_text('title = "x"\nloss = bce\n')
    with pytest.raises(InputError, match=r"own\.toml:2: expected valid TOML"):
        read_objective(str(path))
    path.write_text(
        'title = "x"\nloss = "bce"\n[lists]\nkind = "pairs"\nneeds = ["label"]\nsize = 2\n[training]\nsteps = 1\n'
    )
    with pytest.raises(InputError, match=r"own\.toml:5: lists\.needs"):
        read_objective(str(path))
    path.write_text('title = "x"\nloss = "bce"\n[training]\nsteps = 1\n')
    with pytest.raises(InputError, match=r"own\.toml: expected the key 'lists'"):
        read_objective(str(path))


def test_a_group_without_schedule_is_refused():
    with pytest.raises(InputError, match=r"no \[training.tiny\]"):
        schedule(load_objective("bce").model_copy(), "tiny")


@pytest.mark.parametrize(
    ("objective", "data", "message"),
    [
        ("margin-mse", {"dataset": "{tiny}", "candidates": "{tiny}/candidates.trec"}, "needs teacher-scores"),
        ("adr-mse", {"dataset": "{tiny}", "candidates": "{tiny}/candidates.trec"}, "needs teacher-ranking"),
        ("bce", {"dataset": "{tiny}:dev", "candidates": "{tiny}/candidates.trec"}, "expected labels in qrels/dev.tsv"),
        ("infonce", {"dataset": "{tiny}"}, "needs negatives, found no candidates"),
        ("infonce", {"dataset": "{tiny}", "pairs": "{tiny}/three.tsv"}, "needs lists of kind 'positive-and-negatives'"),
        ("margin-mse", {"dataset": "{tiny}", "pairs": "{tiny}/three.tsv"}, "give five columns"),
        ("bce", {"dataset": "{tiny}", "pairs": "{tiny}/two.tsv"}, "needs negatives"),
        ("bce", {"candidates": "{tiny}/candidates.trec"}, "expected --dataset"),
        ("bce", {"lists": "{tiny}/lists.jsonl"}, "needs labels"),
        ("margin-mse", {"lists": "{tiny}/lists.jsonl"}, "needs teacher-scores"),
        ("bce", {"dataset": "{tiny}", "lists": "{tiny}/lists.jsonl"}, "expected --lists alone"),
    ],
)
def test_data_that_cannot_give_what_is_needed_are_refused_before_reading(tiny, objective, data, message):
    (tiny / "corpus.jsonl").write_text("not read")
    (tiny / "three.tsv").write_text("q0\td0\td1\n")
    (tiny / "two.tsv").write_text("q0\td0\n")
    (tiny / "lists.jsonl").write_text('{"query": "a", "docs": ["x", "y"]}\n')
    filled = {key: value.format(tiny=tiny) for key, value in data.items()}
    with pytest.raises(InputError, match=message):
        check_provides(load_objective(objective), TrainData(**filled))


def test_data_that_give_what_is_needed_pass(tiny):
    (tiny / "five.tsv").write_text("3.5\t1\tq0\td0\td1\n")
    whole = {"dataset": str(tiny), "candidates": f"{tiny}/candidates.trec", "teachers": (f"{tiny}/teacher.trec",)}
    for name in STUDY:
        check_provides(load_objective(name), TrainData(**whole))
    check_provides(load_objective("margin-mse"), TrainData(dataset=str(tiny), pairs=f"{tiny}/five.tsv"))
