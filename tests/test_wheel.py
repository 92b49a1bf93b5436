import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _printed(python, code, cwd=None):
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, cwd=cwd).stdout.strip()


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(tmp_path):
    """The wheel brings objectives and benchmarks; its dependencies are taken from this environment to stay offline."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    packages = _printed(python, "import site; print(site.getsitepackages()[0])")
    here = next(path for path in map(Path, sys.path) if (path / "typer").is_dir())
    (Path(packages) / "dependencies.pth").write_text(f"{here}\n")

    def run(*arguments):
        command = [tmp_path / "fresh" / "bin" / "cedistill", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout

    rows = json.loads(run("ls", "objectives", "--json"))["objectives"]
    assert [row["name"] for row in rows] == sorted(path.stem for path in (ROOT / "objectives").glob("*.toml"))
    shown = [row["name"] for row in json.loads(run("ls", "benchmarks", "--json"))["benchmarks"]]
    assert shown == sorted(path.stem for path in (ROOT / "benchmarks").glob("*.toml"))
    load = "from cedistill.teachers.llm.prompts import load_template; print(load_template('ranking').answer)"
    assert _printed(python, load, cwd=tmp_path) == "ranking"
    assert str(tmp_path) in _printed(python, "import cedistill; print(cedistill.__file__)", cwd=tmp_path)
