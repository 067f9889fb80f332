"""The examples of the guide, cut short."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["websocket_consumer", "fastapi_consumer"])
def test_a_server_in_the_same_process_is_stormed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(example(name).main(0.6))
    printed = capsys.readouterr().out
    # A burst of ten times the rate for a tenth of the time, over a rate of 1000/s; or 500/s throughout.
    count = "300" if name == "fastapi_consumer" else "1,140"
    for sum in (f"due {count} = {count} sent + 0 dropped", f"sent {count} = {count} processed + 0 failed"):
        assert sum in " ".join(printed.split()), printed


def test_a_pipeline_is_stepped_up(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(example("queue_worker").main(0.3))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("  1x  <Report ") and "150 messages, 0 failed" in lines[0]


def test_a_strategy_takes_the_exchange_for_the_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    report = asyncio.run(example("ccxt_strategy").main(seconds=3, multiplier=2))
    assert report["messages_processed"] == report["total_messages"] > 0
    (client,) = report["served"]["clients"]
    assert client["venue"] == "okx" and client["delivered"] > 0 and client["lost"] == 0
    books = int(capsys.readouterr().out.splitlines()[-1].split(" books")[0].replace(",", ""))
    assert books >= 5


def test_the_drop_in_module_is_all_that_an_own_one_did(tmp_path: Path) -> None:
    import json
    import subprocess
    import sys

    guide = (Path(__file__).parents[3] / "docs" / "python.md").read_text()
    _, _, rest = guide.partition("<!-- drop-in -->\n```python\n")
    module, _, _ = rest.partition("```")
    assert len(module.splitlines()) == 3, guide
    package = tmp_path / "tests" / "stress"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "load_generator.py").write_text(module)
    command = "-m tests.stress.load_generator --duration 1 --multiplier 10 --profile RAMP_UP --base-rate 200".split()
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["total_messages"] == 5000, done.stderr
    use = "from tests.stress.load_generator import LoadGenerator, LoadProfile; print(LoadProfile.NORMAL)"
    done = subprocess.run([sys.executable, "-c", use], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "NORMAL\n", done.stderr
