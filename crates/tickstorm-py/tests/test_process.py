"""What concerns the whole process: the program, signals, leaving in the middle of a run."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tickstorm import LoadGenerator

WINDOWS = sys.platform == "win32"


def python(script: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tickstorm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_program_runs_and_writes_its_report(tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    done = program("--duration", "1", "--multiplier", "1", "--output", str(output))
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    assert report["total_messages"] == 100


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["--multiplier", "none"], 2),
        (["--no-such-flag"], 2),
        (["--config", "/no/such/file.toml"], 104),
        (["--target", "ws://127.0.0.1:9/", "--duration", "1"], 1),
        (["--duration", "1", "--target", "builtin:?fail=0.5"], 99),
    ],
)
def test_exit_codes_are_those_of_the_binary(arguments: list[str], code: int) -> None:
    assert program(*arguments).returncode == code


def test_the_installed_program_is_the_same() -> None:
    name = "tickstorm.exe" if WINDOWS else "tickstorm"
    installed = Path(sys.executable).parent / name
    ours = program("profile", "SPIKE", "--csv")
    done = subprocess.run([installed, "profile", "SPIKE", "--csv"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ours.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["run", "--help"],
        ["--version"],
        ["profile", "VOLATILE", "--csv"],
        ["generate", "--duration", "1s"],
        ["--multiplier", "x"],
        ["run", "--print-plan"],
    ],
)
def test_output_and_exit_code_are_those_of_the_binary(arguments: list[str]) -> None:
    binary = os.environ.get("PROGRAM_TO_COMPARE_WITH")
    if binary is None:
        pytest.skip("PROGRAM_TO_COMPARE_WITH does not name the binary")
    theirs = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60)
    ours = program(*arguments)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


@pytest.mark.skipif(WINDOWS, reason="a console's Ctrl-C cannot be sent to one process there")
def test_ctrl_c_stops_the_program_which_still_reports() -> None:
    command = [sys.executable, "-m", "tickstorm", "--duration", "60", "--multiplier", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 105
    assert json.loads(output)["total_messages"] < 1000


SCRIPT = """
    import asyncio, os, signal, sys, threading
    from tickstorm import LoadGenerator

    # Whoever started the tests in the background of a shell has them, and their children, ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    async def process_message(msg):
        await asyncio.sleep({sleep})
        return True

    async def main():
        generator = LoadGenerator(process_message, progress=lambda metrics: print("running", flush=True))
        await generator.run_load_test(60, 1)
"""


def wait_until_running(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n", process.communicate()


@pytest.mark.skipif(WINDOWS, reason="a console's Ctrl-C cannot be sent to one process there")
@pytest.mark.parametrize("sleep", ["0.001", "3600"])
def test_ctrl_c_ends_a_run_and_leaves_no_thread(sleep: str) -> None:
    process = python(
        SCRIPT.format(sleep=sleep)
        + """
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        left = len(os.listdir("/proc/self/task")) if sys.platform == "linux" else threading.active_count()
        print("threads", left, flush=True)
"""
    )
    wait_until_running(process)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    assert time.monotonic() - started < 3
    assert (output.splitlines()[-1], errors) == ("threads 1", "")
    assert process.returncode == 0


@pytest.mark.parametrize("target", ["process_message", "lambda msg: True"])
@pytest.mark.parametrize(
    "leave",
    [
        # The loop is left where it stands, the run with it.
        "loop = asyncio.new_event_loop(); loop.create_task(main()); loop.call_later(1, loop.stop); loop.run_forever()",
        # The whole program ends while the run is under way.
        "loop = asyncio.new_event_loop(); loop.create_task(main()); loop.call_later(1, sys.exit, 7); loop.run_forever()",
        # A callback raises what ends the program.
        "async def both():\n"
        "        asyncio.get_running_loop().call_later(1, sys.exit, 7)\n"
        "        await main()\n"
        "    asyncio.run(both())",
    ],
)
def test_who_leaves_in_the_middle_of_a_run_is_not_kept(leave: str, target: str) -> None:
    script = SCRIPT.format(sleep="0.001").replace("(process_message,", f"({target},")
    process = python(script + f"\n    {leave}\n")
    _, errors = process.communicate(timeout=15)
    assert process.returncode == (7 if "exit" in leave else 0), errors
    assert "Fatal" not in errors and "panicked" not in errors, errors


def test_exit_in_a_thread_lets_the_program_leave_in_good_order() -> None:
    process = python("""
        import asyncio, atexit, sys, threading
        from tickstorm import LoadGenerator

        atexit.register(lambda: print("exit in", threading.current_thread().name))

        def target(msg):
            sys.exit(7)

        async def main():
            try:
                await LoadGenerator(target, progress=False).run_load_test(30, 1)
            finally:
                print("finally")

        asyncio.run(main())
    """)
    output, errors = process.communicate(timeout=15)
    assert (output, process.returncode) == ("finally\nexit in MainThread\n", 7), errors


def test_a_plain_callable_that_hangs_does_not_keep_a_finished_run() -> None:
    process = python("""
        import threading
        from tickstorm import LoadGenerator

        release = threading.Event()
        generator = LoadGenerator(lambda msg: release.wait(20), base_rate=10, timeout_seconds=0.1, progress=False)
        report = generator.run(0.3, 1)
        print(report["ledger"]["failed"])
        release.set()
    """)
    started = time.monotonic()
    output, errors = process.communicate(timeout=15)
    assert time.monotonic() - started < 8
    assert "'timeout': 3" in output and "RuntimeWarning" in errors, errors
    assert process.returncode == 0


def test_the_command_in_the_report_of_a_called_target_runs_the_same_load() -> None:
    report = LoadGenerator(lambda msg: True, base_rate=70, batch=2, seed=3, progress=False).run(1, 2)
    name, *arguments = shlex.split(report["plan"]["command"])
    assert name == "tickstorm"
    done = program(*arguments, "--quiet")
    theirs = json.loads(done.stdout)
    assert theirs["total_messages"] == report["total_messages"] == 140
    same = ("seed", "base_rate", "multiplier", "batch", "planned_total", "average_rate")
    assert [theirs["plan"][key] for key in same] == [report["plan"][key] for key in same]
    assert "on the built-in target instead of your code" in " ".join(report.summary().split())


def test_a_server_is_stormed_without_the_interpreter() -> None:
    process = python("""
        import asyncio, time
        from tickstorm import LoadGenerator

        async def main():
            turns = 0
            async def others():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0.001)
            task = asyncio.create_task(others())
            report = await LoadGenerator("builtin", progress=False).run_load_test(1, 20)
            task.cancel()
            print(report["messages_processed"], report["target"]["kind"], turns > 300)
        asyncio.run(main())
    """)
    output, errors = process.communicate(timeout=15)
    assert output == "2000 builtin True\n", errors


def test_a_server_that_is_not_there_is_an_error() -> None:
    process = python("""
        from tickstorm import LoadGenerator, RunError
        try:
            LoadGenerator("ws://127.0.0.1:9/", progress=False).run(1, 1)
        except RunError as error:
            print(error)
    """)
    output, errors = process.communicate(timeout=15)
    assert output.startswith("cannot reach the target ws://127.0.0.1:9/: "), errors


def test_a_forked_process_may_run_its_own_test() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    process = python("""
        import multiprocessing
        from tickstorm import LoadGenerator

        def work(_):
            async def target(msg):
                return True
            return LoadGenerator(target, progress=False).run(0.2, 1)["messages_processed"]

        work(0)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(work, range(2)))
    """)
    output, errors = process.communicate(timeout=20)
    assert output == "[20, 20]\n", errors
