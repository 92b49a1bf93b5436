import pytest

from cedistill import processes


@pytest.fixture
def second_of_two(monkeypatch):
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def test_one_process_without_a_launcher(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "8")  # as a scheduler sets it
    assert (processes.count(), processes.number(), processes.is_first()) == (1, 0, True)
    assert processes.gathered("a") == ["a"] and processes.total(3) == 3 and processes.answer_of_first(lambda: 5) == 5
    assert processes.failing(2, "message") == (True, 2)


def test_the_launcher_says_which_process_this_is(second_of_two):
    assert (processes.count(), processes.number(), processes.is_first()) == (2, 1, False)
    assert processes.failing(2, "message") == (False, 2)  # the first of the machine says it


def test_other_commands_want_one_process(second_of_two, monkeypatch, capsys):
    from cedistill.cli import main

    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(processes, "silence_others", lambda: None)
    monkeypatch.setattr("sys.argv", ["cedistill", "ls", "losses"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "expected one process for ls, found 2; start it without a launcher" in capsys.readouterr().err
