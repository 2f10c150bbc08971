"""The shell commands: what they print and write, and their exit codes."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars
import pytest


def start_process(*words, cwd=None, env=None):
    """The command in a process, for what depends on the process: its imports, its environment, its streams."""
    command = [sys.executable, "-m", "thalweg", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **(env or {})})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    run = folder / "runs" / "first"
    finished = start_process("train", "iris", "--epochs", 5, "--out", run, "--engine", "eager", cwd=folder)
    assert finished.returncode == 0, finished.stderr
    return run, finished


def test_train_shows_progress_measures_and_the_reports_path(trained):
    folder, finished = trained
    assert "epoch 5/5" in finished.stderr
    assert "samples/s" in finished.stderr
    assert "accuracy" in finished.stdout
    assert f"report: {folder / 'report.html'}" in finished.stdout
    assert (folder / "report.html").stat().st_size > 1000
    assert "\x1b[" not in finished.stdout + finished.stderr


def test_json_is_the_only_output_on_stdout(shell, tmp_path):
    finished = shell("train", "xor", "--json", "--quiet", "--epochs", 3, "--out", tmp_path / "run")
    assert json.loads(finished.stdout)["measures"]["training"]["accuracy"] >= 0
    assert finished.stderr == ""


def test_settings_reach_the_run(shell, tmp_path):
    words = ["train", "rings", "--epochs", 2, "--seed", 9, "--set", "optimizer.learning_rate=0.02", "--quiet"]
    finished = shell(*words, "--set", "data.source.samples=100", "--engine", "eager", "--out", tmp_path / "run")
    assert finished.returncode == 0, finished.stderr
    spec = (tmp_path / "run" / "spec.toml").read_text()
    assert "seed = 9" in spec
    assert "learning_rate = 0.02" in spec
    assert 'source = "rings 100"' in spec


def test_a_table_is_trained_and_new_rows_are_predicted(shell, tmp_path):
    rows = 200
    frame = polars.DataFrame(
        {
            "size": [i % 10 for i in range(rows)],
            "colour": ["red" if i % 3 else "blue" for i in range(rows)],
            "bought": ["yes" if i % 10 > 4 else "no" for i in range(rows)],
        }
    )
    frame.write_csv(tmp_path / "shop.csv")
    words = ["--data", tmp_path / "shop.csv", "--target", "bought", "--epochs", 40, "--out", tmp_path / "run"]
    finished = shell("train", *words)
    assert finished.returncode == 0, finished.stderr
    assert "classification" in finished.stdout
    frame.drop("bought").head(10).write_csv(tmp_path / "new.csv")
    finished = shell("predict", tmp_path / "run", tmp_path / "new.csv", "--out", tmp_path / "answers.csv")
    assert finished.returncode == 0, finished.stderr
    answers = polars.read_csv(tmp_path / "answers.csv")
    assert answers["prediction"].to_list() == ["no"] * 5 + ["yes"] * 5
    assert {"p(no)", "p(yes)"} <= set(answers.columns)
    # The same on stdout.
    finished = shell("predict", tmp_path / "run", tmp_path / "new.csv")
    assert finished.stdout == (tmp_path / "answers.csv").read_text()


def test_runs_lists_and_report_rewrites(shell, trained):
    folder, _ = trained
    listed = json.loads(shell("runs", folder.parent, "--json").stdout)
    assert [row["name"] for row in listed] == ["first"]
    assert "first" in shell("runs", folder.parent).stdout
    # It has ended as planned: its outcome needs no column.
    assert "outcome" not in shell("runs", folder.parent).stdout
    # One line for each run, unless all of it is asked for.
    assert sum("│" in line for line in shell("runs", folder.parent).stdout.splitlines()) == 1
    assert sum("│" in line for line in shell("runs", folder.parent, "--long").stdout.splitlines()) > 1
    (folder / "report.html").unlink()
    finished = shell("report", folder)
    assert finished.stdout.strip() == str(folder / "report.html")
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "--data FILE"),
        (["train", "digitz"], "did you mean 'digits'"),
        (["train", "missing.toml"], "missing.toml"),
        (["train", "rings", "--set", "optimizer.kind=adamm"], "did you mean 'adam'"),
        (["train", "rings", "--set", "training.epochs=0"], "training.epochs"),
        (["train", "rings", "--set", "nonsense"], "nonsense"),
        (["train", "rings", "--engine", "warp"], "training.engine"),
        (["train", "digits", "--set", "network.layers=['dense 3','softmax']"], "10 classes"),
        (["train", "iris", "--set", "stopping.measure=validation_los"], "did you mean 'validation_loss'"),
        (["train", "and", "--set", "stopping.measure=validation_loss"], "data.validation"),
        (
            ["train", "and", "--set", "network.layers=['batch_norm','dense 2']", "--set", "training.batch_size=3"],
            "4",
        ),
        (["train", "--resume", "nowhere"], "nowhere"),
        (["train", "iris", "--resume", "nowhere"], "--resume"),
        (["train", "--data", "missing.csv", "--target", "y"], "missing.csv"),
        (["playground", "--no-browser", "--data", "missing.csv", "--target", "y"], "missing.csv"),
        (["predict", "nowhere", "file.csv"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["runs", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(shell, words, message, tmp_path):
    finished = shell(*words, cwd=tmp_path)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_missing_is_one_message_and_exit_code_2(tmp_path):
    finished = start_process("train", "iris", "--device", "gpu", cwd=tmp_path, env={"JAX_PLATFORMS": "cpu"})
    assert finished.returncode == 2
    assert "gpu" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,y\n", "table.csv"),
        ("a,y\n" + "1,same\n" * 9, "2 classes"),
        ("a,y\n" + "inf,p\n2,q\n" * 9, "'a'"),
        ("a,b\n1,2\n", "'y'"),
        ("\x00\x01\x02", ""),
    ],
)
def test_an_unusable_table_is_one_message_and_exit_code_2(shell, content, message, tmp_path):
    (tmp_path / "table.csv").write_text(content)
    finished = shell("train", "--data", "table.csv", "--target", "y", cwd=tmp_path)
    assert finished.returncode == 2, finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_diverging_run_exits_with_3_names_the_step_and_can_be_resumed(shell, tmp_path):
    places = {"network.kind": "mlp", "optimizer.kind": "sgd", "optimizer.learning_rate": "1e6"}
    words = [word for place, value in places.items() for word in ("--set", f"{place}={value}")]
    finished = shell("train", "diabetes", *words, "--engine", "eager", "--quiet", "--out", tmp_path / "run")
    assert finished.returncode == 3
    assert re.search(r"layer 3 \(dense\) became infinite at step \d+ \(epoch \d+\)", finished.stderr)
    assert "Traceback" not in finished.stderr
    assert (tmp_path / "run" / "report.html").exists()
    # The last good state is a checkpoint, even if the first epoch diverged.
    words = ["--set", "optimizer.learning_rate=0.01", "--epochs", 3, "--accept-changes", "--json", "--quiet"]
    again = shell("train", "--resume", tmp_path / "run", *words)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["measures"]["training"]["r2"] > 0


def test_ctrl_c_saves_the_run(tmp_path):
    words = ["train", "rings", "--epochs", "1000000", "--engine", "eager", "--out", str(tmp_path / "run")]
    process = subprocess.Popen([sys.executable, "-m", "thalweg", *words], stderr=subprocess.PIPE, text=True)
    assert "epoch" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped by Ctrl-C" in output
    assert "Traceback" not in output
    assert (tmp_path / "run" / "checkpoints" / "final.safetensors").exists()


def test_a_terminal_shows_a_progress_bar(tmp_path):
    ours, its = pty.openpty()
    words = ["train", "rings", "--epochs", "3", "--engine", "eager", "--out", tmp_path / "run"]
    with subprocess.Popen([sys.executable, "-m", "thalweg", *map(str, words)], stdout=its, stderr=its) as process:
        os.close(its)
        output = b""
        # Reading from a terminal fails once the process that wrote to it has ended.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 4096):
                output += chunk
    os.close(ours)
    assert process.returncode == 0
    assert b"epoch 3/3" in output
    assert "━".encode() in output


def test_help_imports_nothing_heavy():
    code = "import sys, thalweg.cli; sys.argv = ['thalweg', '--help']; thalweg.cli.app(standalone_mode=False)"
    code += "; print(*sorted(sys.modules), file=sys.stderr)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    modules = set(finished.stderr.split())
    assert "train" in finished.stdout
    assert all(name.startswith("thalweg.cli") for name in modules if name.startswith("thalweg."))
    # Besides the standard library, only typer, what it needs, and the loader of the public names are imported.
    others = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    assert others <= {
        "thalweg",
        "typer",
        "click",
        "shellingham",
        "lazy_loader",
        "typing_extensions",
        "annotated_doc",
        "_distutils_hack",
        "__main__",
    }
    assert "asyncio" not in modules


def test_the_version_is_that_of_the_package(shell):
    from importlib import metadata

    assert shell("--version").stdout.strip() == metadata.version("thalweg")


def test_the_module_and_the_command_are_the_same():
    command = Path(sys.executable).with_name("thalweg")
    said = [subprocess.run([*words, "--help"], capture_output=True, text=True).stdout for words in ([command], MODULE)]
    usage, *rest = said[0].splitlines()
    assert usage.startswith("Usage: thalweg")
    assert said[1].splitlines()[1:] == rest != []


MODULE = [sys.executable, "-m", "thalweg"]
HANGING = """
import atexit, sys, threading, time
import thalweg.cli.shell as shell

shell.LONGEST_END = 0.5
{hang}
sys.argv = ["thalweg", *{words}]
shell.program()
"""


@pytest.mark.parametrize(
    "hang",
    [
        "atexit.register(time.sleep, 60)",
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        # As the workers of a pool that is never shut down.
        "import concurrent.futures as futures; futures.ThreadPoolExecutor(1).submit(time.sleep, 60)",
    ],
)
@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["train", "nothing"], 2)])
def test_a_process_ends_whatever_waits_at_its_exit(hang, words, code):
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGING.format(hang=hang, words=words)], capture_output=True)
    assert done.returncode == code
    assert time.monotonic() - began < 30


def test_lr_range_writes_a_page_and_suggests_a_rate_that_train_takes(shell, tmp_path):
    # The network for tables has a schedule, of which the rate would be a part.
    mlp = ["--set", "network.kind=mlp"]
    finished = shell("lr-range", "iris", *mlp, "--engine", "eager", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    use = re.search(r"To train with it: (.*)", finished.stdout)[1].split()
    (page,) = (tmp_path / "runs").iterdir()
    assert page.name.startswith("iris-lr-range-")
    assert f"curve: runs/{page.name}" in finished.stdout
    finished = shell("train", "iris", *mlp, *use, "--epochs", 1, "--engine", "eager", "--out", "run", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr


def test_lr_range_that_finds_no_rate_prints_json_and_exits_with_0(shell, tmp_path):
    words = ["--high", "1e-5", "--engine", "eager", "--json", "--quiet", "--out", tmp_path / "page.html"]
    finished = shell("lr-range", "iris", *words)
    assert (finished.returncode, finished.stderr) == (0, "")
    result = json.loads(finished.stdout)
    assert result["chosen"] is None
    assert "high" in result["reason"]
    assert len(result["rates"]) == len(result["smoothed"]) == 200
    assert Path(result["page"]).stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr-range"], "--data FILE"),
        (["lr-range", "iris", "--low", "1", "--high", "0.1"], "0.1"),
        (["lr-range", "iris", "--steps", "3"], "60"),
        (["lr-range", "digitz"], "did you mean 'digits'"),
        (["lr-range", "digits", "--set", "network.layers=['dense 3','softmax']"], "10 classes"),
    ],
)
def test_bad_input_of_lr_range_writes_nothing(shell, words, message, tmp_path):
    finished = shell(*words, cwd=tmp_path)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="LEFT OUT: no /dev/full here")
def test_an_output_that_cannot_be_written_exits_with_2(tmp_path):
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "thalweg", "runs", "--json", str(tmp_path)]
        finished = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
        assert finished.returncode == 2
        assert finished.stderr.startswith("thalweg: ")
        assert finished.stderr.endswith("No space left on device\n")
        # If the progress cannot be written, the training goes on.
        words = [sys.executable, "-m", "thalweg", "train", "xor", "--epochs", "5", "--out", str(tmp_path / "run")]
        finished = subprocess.run(words, stdout=subprocess.PIPE, stderr=full, text=True)
    assert finished.returncode == 0
    assert (tmp_path / "run" / "result.json").exists()


def test_an_order_that_does_not_fit_the_task_is_rejected_before_writing(shell, tmp_path):
    words = ["train", "diabetes", "--set", 'data.order="stratified"', "--out", tmp_path / "run"]
    finished = shell(*words)
    assert finished.returncode == 2
    assert finished.stderr.startswith("thalweg: order: ")
    assert "shuffled" in finished.stderr
    assert not (tmp_path / "run").exists()


def test_a_path_that_the_system_rejects_is_named(shell):
    finished = shell("report", "x" * 300)
    assert finished.returncode == 2
    assert "x" * 300 in finished.stderr
    assert "Traceback" not in finished.stderr


def test_help_lists_the_commands_in_this_order(shell):
    text = shell("--help").stdout.partition("Commands:")[2]
    assert re.findall(r"^  ([a-z-]+) ", text, re.M) == [
        *("train", "playground", "lr-range", "predict", "export", "runs", "report", "doctor", "diff"),
        *("experiment", "explain"),
        *("gradient-flow", "landscape", "boundary", "arena", "lesson", "exercise"),
    ]
    assert "..." not in text


def test_export_writes_files_and_says_what_is_missing(shell, tmp_path):
    run = tmp_path / "run"
    assert shell("train", "iris", "--epochs", 1, "--out", run, "--quiet").returncode == 0
    finished = shell("export", run, "--onnx", tmp_path / "own.onnx", "--python", tmp_path / "own.py")
    assert finished.returncode == 0
    assert finished.stdout.split() == [str(tmp_path / "own.onnx"), str(tmp_path / "own.py")]
    assert (tmp_path / "own.onnx").exists()
    assert (tmp_path / "own.py").exists()
    finished = shell("export", run)
    assert finished.returncode == 2
    assert "--onnx FILE" in finished.stderr
