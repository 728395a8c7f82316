"""Every code block in README and docs runs, and does what it shows."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from doctest import ELLIPSIS, DocTestFinder, DocTestRunner
from pathlib import Path

import pytest

import falconkit
from falconkit.metrics import Metrics

pytestmark = pytest.mark.usefixtures("logging_undone")

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The console blocks have a test of their own, tests/system/test_readme.py.
KINDS = {"python", "console", "json", "text", "sh", "ini"}


def blocks(page: Path, kind: str) -> list[tuple[int, str]]:
    text = page.read_text()
    return [
        (text[: found.start(2)].count("\n"), found[2])
        for found in BLOCK.finditer(text)
        if found[1] == kind
    ]


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {found[1] for found in BLOCK.finditer(page.read_text())} <= KINDS


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=ids)
def test_python_blocks_run_in_order(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FALCONKIT_RUN", str(tmp_path / "run"))
    namespace: dict[str, object] = {"__name__": "docs"}
    for line, source in blocks(page, "python"):
        padded = "\n" * line + source
        exec(compile(padded, str(page), "exec", dont_inherit=True), namespace)
    for each in namespace.values():
        if isinstance(each, Metrics):
            each.close()  # a page need not say so each time


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "json")], ids=ids)
def test_json_blocks_are_json(page: Path) -> None:
    for _, source in blocks(page, "json"):
        for line in source.splitlines() if source.count("\n{") else [source]:
            json.loads(line)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def modules() -> list[str]:
    return [
        name
        for _, name, _ in pkgutil.walk_packages(falconkit.__path__, "falconkit.")
        if not name.startswith("falconkit.server.gunicorn")
    ]


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FALCONKIT_RUN", str(tmp_path / "run"))
    module = importlib.import_module(name)
    runner = DocTestRunner(optionflags=ELLIPSIS)
    for case in DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(case)
    assert runner.summarize(verbose=False).failed == 0
