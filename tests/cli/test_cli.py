import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import polars
import pytest


def thalweg(*words, cwd=None, env=None):
    command = [sys.executable, "-m", "thalweg", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **(env or {})})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    done = thalweg("train", "iris", "--epochs", 5, "--out", folder / "runs" / "first", "--engine", "eager", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "first", done


def test_train_shows_progress_measures_and_the_reports_path(trained):
    folder, done = trained
    assert "epoch 5/5" in done.stderr
    assert "samples/s" in done.stderr
    assert "accuracy" in done.stdout
    assert f"report: {folder / 'report.html'}" in done.stdout
    assert (folder / "report.html").stat().st_size > 1000
    assert "\x1b[" not in done.stdout + done.stderr


def test_json_is_all_that_stdout_holds(tmp_path):
    done = thalweg("train", "xor", "--json", "--quiet", "--epochs", 3, "--out", tmp_path / "run")
    assert json.loads(done.stdout)["measures"]["training"]["accuracy"] >= 0
    assert done.stderr == ""


def test_settings_reach_the_run(tmp_path):
    words = ["train", "rings", "--epochs", 2, "--seed", 9, "--set", "optimizer.learning_rate=0.02", "--quiet"]
    done = thalweg(*words, "--set", "data.source.samples=100", "--engine", "eager", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    spec = (tmp_path / "run" / "spec.toml").read_text()
    assert "seed = 9" in spec
    assert "learning_rate = 0.02" in spec
    assert 'source = "rings 100"' in spec


def test_a_table_is_trained_and_new_rows_are_predicted(tmp_path):
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
    done = thalweg("train", *words)
    assert done.returncode == 0, done.stderr
    assert "classification" in done.stdout
    frame.drop("bought").head(10).write_csv(tmp_path / "new.csv")
    done = thalweg("predict", tmp_path / "run", tmp_path / "new.csv", "--out", tmp_path / "answers.csv")
    assert done.returncode == 0, done.stderr
    answers = polars.read_csv(tmp_path / "answers.csv")
    assert answers["prediction"].to_list() == ["no"] * 5 + ["yes"] * 5
    assert {"p(no)", "p(yes)"} <= set(answers.columns)
    # The same on stdout.
    done = thalweg("predict", tmp_path / "run", tmp_path / "new.csv")
    assert done.stdout == (tmp_path / "answers.csv").read_text()


def test_runs_lists_and_report_rewrites(trained):
    folder, _ = trained
    listed = json.loads(thalweg("runs", folder.parent, "--json").stdout)
    assert [row["name"] for row in listed] == ["first"]
    assert "first" in thalweg("runs", folder.parent).stdout
    (folder / "report.html").unlink()
    done = thalweg("report", folder)
    assert done.stdout.strip() == str(folder / "report.html")
    assert (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "expected a spec"),
        (["train", "digitz"], "did you mean 'digits'"),
        (["train", "missing.toml"], "cannot be read"),
        (["train", "rings", "--set", "optimizer.kind=adamm"], "did you mean 'adam'"),
        (["train", "rings", "--set", "training.epochs=0"], "training.epochs"),
        (["train", "rings", "--set", "nonsense"], "section.key=value"),
        (["train", "rings", "--engine", "warp"], "training.engine"),
        (["train", "digits", "--set", "network.layers=['dense 3','softmax']"], "10 classes"),
        (["train", "iris", "--set", "stopping.measure=validation_los"], "did you mean 'validation_loss'"),
        (["train", "and", "--set", "stopping.measure=validation_loss"], "set data.validation"),
        (
            ["train", "and", "--set", "network.layers=['batch_norm','dense 2']", "--set", "training.batch_size=3"],
            "take 4",
        ),
        (["train", "--resume", "nowhere"], "is no run"),
        (["train", "iris", "--resume", "nowhere"], "takes no other SPEC"),
        (["train", "--data", "missing.csv", "--target", "y"], "missing.csv"),
        (["train", "iris", "--device", "gpu"], "gpu"),
        (["predict", "nowhere", "file.csv"], "is no run"),
        (["report", "nowhere"], "is no run"),
        (["runs", "nowhere"], "no folder of runs"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(words, said, tmp_path):
    done = thalweg(*words, cwd=tmp_path, env={"JAX_PLATFORMS": "cpu"})
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,y\n", "no rows"),
        ("a,y\n" + "1,same\n" * 9, "2 classes"),
        ("a,y\n" + "inf,p\n2,q\n" * 9, "'a'"),
        ("a,b\n1,2\n", "'y'"),
        ("\x00\x01\x02", ""),
    ],
)
def test_a_table_of_no_use_is_told(content, said, tmp_path):
    (tmp_path / "table.csv").write_text(content)
    done = thalweg("train", "--data", "table.csv", "--target", "y", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_diverging_run_has_its_own_exit_code_and_names_the_step(tmp_path):
    words = ["--set", "optimizer.kind=sgd", "--set", "optimizer.learning_rate=1e6", "--engine", "eager", "--quiet"]
    done = thalweg("train", "diabetes", *words, "--out", tmp_path / "run")
    assert done.returncode == 3
    assert re.search(r"layer 3 \(dense\) became infinite at step \d+ \(epoch \d+\)", done.stderr)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "report.html").exists()
    # What was good is a checkpoint, also where the first epoch went wrong.
    words = ["--set", "optimizer.learning_rate=0.01", "--epochs", 3, "--accept-changes", "--json", "--quiet"]
    again = thalweg("train", "--resume", tmp_path / "run", *words)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["measures"]["training"]["r2"] > 0


def test_ctrl_c_saves_the_run(tmp_path):
    words = ["train", "rings", "--epochs", "1000000", "--engine", "eager", "--out", str(tmp_path / "run")]
    process = subprocess.Popen([sys.executable, "-m", "thalweg", *words], stderr=subprocess.PIPE, text=True)
    assert "epoch" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped by Ctrl-C" in said
    assert "Traceback" not in said
    assert (tmp_path / "run" / "checkpoints" / "final.safetensors").exists()


def test_a_terminal_gets_a_bar_that_counts(tmp_path):
    ours, its = pty.openpty()
    words = ["train", "rings", "--epochs", "3", "--engine", "eager", "--out", tmp_path / "run"]
    with subprocess.Popen([sys.executable, "-m", "thalweg", *map(str, words)], stdout=its, stderr=its) as process:
        os.close(its)
        said = b""
        # Reading from a terminal that its last user has left fails, which is how its end is told.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 4096):
                said += chunk
    os.close(ours)
    assert process.returncode == 0
    assert b"epoch 3/3" in said
    assert "━".encode() in said


def test_help_imports_nothing_heavy():
    code = "import sys, thalweg.cli; sys.argv = ['thalweg', '--help']; thalweg.cli.app(standalone_mode=False)"
    code += "; print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    modules = set(done.stderr.split())
    assert "train" in done.stdout
    assert {name for name in modules if name.startswith("thalweg.")} <= {
        "thalweg.cli",
        *(
            f"thalweg.cli.{name}"
            for name in (
                "shell",
                "shared",
                "training",
                "learning",
                "landscape",
                "arena",
                "boundary",
                "experiment",
                "doctor",
            )
        ),
    }
    # All that it imports beside the standard library; typer carries what it needs.
    others = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    assert others <= {
        "thalweg",
        "typer",
        "click",
        "shellingham",
        "typing_extensions",
        "annotated_doc",
        "_distutils_hack",
        "__main__",
    }
    assert "asyncio" not in modules


def test_the_version_is_that_of_the_package():
    from importlib import metadata

    assert thalweg("--version").stdout.strip() == metadata.version("thalweg")


def test_the_module_and_the_command_are_one():
    command = Path(sys.executable).with_name("thalweg")
    assert (
        subprocess.run([command, "--help"], capture_output=True).stdout
        == subprocess.run([command, "--help"], capture_output=True).stdout
    )


def test_lr_range_writes_a_page_and_suggests_a_rate_that_train_takes(tmp_path):
    done = thalweg("lr-range", "iris", "--engine", "eager", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    use = re.search(r"To train with it: (.*)", done.stdout)[1].split()
    (page,) = (tmp_path / "runs").iterdir()
    assert page.name.startswith("iris-lr-range-")
    assert f"curve: runs/{page.name}" in done.stdout
    done = thalweg("train", "iris", *use, "--epochs", 1, "--engine", "eager", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_lr_range_without_a_rate_is_no_failure_and_json_is_all_of_stdout(tmp_path):
    words = ["--high", "1e-5", "--engine", "eager", "--json", "--quiet", "--out", tmp_path / "page.html"]
    done = thalweg("lr-range", "iris", *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["chosen"] is None
    assert "larger high" in found["reason"]
    assert len(found["rates"]) == len(found["smoothed"]) == 200
    assert Path(found["page"]).stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lr-range"], "expected a spec"),
        (["lr-range", "iris", "--low", "1", "--high", "0.1"], "ten times low"),
        (["lr-range", "iris", "--steps", "3"], "at least 60"),
        (["lr-range", "digitz"], "did you mean 'digits'"),
        (["lr-range", "digits", "--set", "network.layers=['dense 3','softmax']"], "10 classes"),
    ],
)
def test_bad_input_of_lr_range_leaves_nothing_behind(words, said, tmp_path):
    done = thalweg(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="LEFT OUT: no /dev/full here")
def test_an_output_that_can_not_be_written_is_no_silent_success(tmp_path):
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "thalweg", "runs", "--json", str(tmp_path)]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (
            2,
            "thalweg: the output can not be written: No space left on device\n",
        )
        # Progress that nobody can read costs no training.
        words = [sys.executable, "-m", "thalweg", "train", "xor", "--epochs", "5", "--out", str(tmp_path / "run")]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=full, text=True)
    assert done.returncode == 0
    assert (tmp_path / "run" / "result.json").exists()


def test_an_order_that_does_not_fit_the_task_is_refused_before_anything_is_written(tmp_path):
    words = ["train", "diabetes", "--set", 'data.order="stratified"', "--out", tmp_path / "run"]
    done = thalweg(*words)
    assert done.returncode == 2
    assert "stratified needs classes, and the task is regression; choose order = 'shuffled'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_path_that_the_system_refuses_is_named():
    done = thalweg("report", "x" * 300)
    assert done.returncode == 2
    assert "x" * 300 in done.stderr
    assert "File name too long" in done.stderr
    assert "Traceback" not in done.stderr
