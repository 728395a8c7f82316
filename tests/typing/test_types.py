"""What a user's ``mypy --strict`` says of right and of wrong uses: one run over two modules."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import falconkit

HERE = Path(__file__).parent
ROOT = Path(falconkit.__file__).parents[1]


@pytest.fixture(scope="module")
def said(request):
    """What mypy says: {file: {line: its messages}}."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            *("--no-error-summary", "--hide-error-context", "--follow-imports=silent"),
            *("--cache-dir", str(request.config.cache.mkdir("mypy"))),
            *(str(HERE / "good.py"), str(HERE / "bad.py")),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=HERE,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )
    assert not done.stderr, done.stderr
    found = {"good.py": {}, "bad.py": {}}
    for line in done.stdout.splitlines():
        file, at, kind, message = re.fullmatch(r"(\S+?):(\d+): (\w+): (.*)", line).groups()
        if kind == "error":
            found[Path(file).name].setdefault(int(at), []).append(message)
    return found


def test_a_users_own_chain_is_clean_and_keeps_its_types(said):
    assert said["good.py"] == {}


def test_every_wrong_use_is_an_error_and_nothing_else_is(said):
    expected = {
        at: line.split("# error: ")[1]
        for at, line in enumerate((HERE / "bad.py").read_text().splitlines(), 1)
        if "# error: " in line
    }
    assert len(expected) > 15
    assert said["bad.py"].keys() == expected.keys()
    for at, words in expected.items():
        assert words in " ".join(said["bad.py"][at]), f"line {at}: {said['bad.py'][at]}"
