import os
import signal
import subprocess
import sys
import time


def _heed_interrupts():
    """A shell's background jobs, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_is_clean_and_the_run_goes_on(tiny, tiny_bert, tmp_path):
    """Ctrl-C reaches the command and its loader workers alike, as on a terminal."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cedistill", "train", "--backbone", str(tiny_bert), "--objective", "bce"]
    command += ["--dataset", str(tiny), "--candidates", str(tiny / "candidates.trec"), "--output", str(out)]
    command += ["--steps", "300", "--batch-size", "2", "--set", "training.precision=float32"]
    command += ["--set", "training.validate_every=20", "--workers", "2"]
    as_on_a_terminal = {"start_new_session": True, "preexec_fn": _heed_interrupts}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **as_on_a_terminal) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("checkpoints/checkpoint-*/trainer_state.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 130, told
    assert "Traceback" not in told and told.splitlines()[-1].startswith("error: interrupted; run the same command")
    assert not (out / "cedistill.json").exists()
    assert subprocess.run([*command, "--resume"], timeout=200).returncode == 0
    assert (out / "cedistill.json").exists()
