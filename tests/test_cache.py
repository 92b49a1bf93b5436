import os
import signal
import subprocess
import sys

import pytest

from cedistill.cache import built_once


def test_built_once_is_whole_or_not_there(tmp_path):
    folder = tmp_path / "a" / "b"

    def broken(empty):
        (empty / "half").write_text("x")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        built_once(folder, broken)
    assert not folder.exists() and not any(path.is_dir() for path in folder.parent.iterdir())

    assert built_once(folder, lambda empty: (empty / "whole").write_text("y")) == folder
    assert built_once(folder, broken) == folder and [path.name for path in folder.iterdir()] == ["whole"]


def test_built_once_after_a_kill(tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from cedistill.cache import built_once
def killed(empty):
    (empty / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
built_once(Path(sys.argv[1]), killed)
"""
    folder = tmp_path / "index"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], env=os.environ, timeout=60)
    assert done.returncode == -signal.SIGKILL and not folder.exists() and (tmp_path / "index.partial").is_dir()
    built_once(folder, lambda empty: (empty / "whole").write_text("y"))
    assert [path.name for path in folder.iterdir()] == ["whole"] and not (tmp_path / "index.partial").exists()
