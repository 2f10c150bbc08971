"""Every field of every file of a run, replaced by wrong values: commands name it, or do not need it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import numpy as safetensors
from trial import Trial, refused, thalweg

ROWS = """x,y,kind
0.1,2.0,a
0.3,1.5,b
0.2,1.0,a
0.9,0.2,b
0.8,0.1,a
0.7,0.4,b
0.4,1.9,a
0.5,0.6,b
0.6,0.9,a
1.0,0.3,b
0.0,1.8,a
0.35,1.2,b
"""
TARGET = "kind"
SPEC = f"""[data]
source = "rows.csv"
target = "{TARGET}"
validation = 0.25
test = 0.25
scale = "standard"
[network]
layers = ["dense 3", "tanh", "dense 2", "softmax"]
[optimizer]
kind = "adam"
learning_rate = {{kind = "plateau", initial = 0.05, patience = 1}}
[training]
epochs = 4
batch_size = 3
seed = 1
engine = "eager"
[stopping]
patience = 50
[checkpoints]
every = 1
[probes]
kind = "standard"
every = 2
"""
DEEP = 100_000
LONG = 2_000_000
# Texts in JSON, and in TOML where they differ. NaN and -Infinity are what Python's JSON calls them.
WRONG = {
    "null": "null",
    "-1": "-1",
    "text": '"wrong"',
    "list": "[]",
    "table": '{"a": 1}',
    "nan": "NaN",
    "large": "1" + "0" * 30,
    "deep": "[" * DEEP + "]" * DEEP,
}
WRONG_TOML = {**WRONG, "null": '"' + "a" * LONG + '"', "table": "{a = 1}", "nan": "nan", "deep": "[" * 500 + "]" * 500}
MARK = "@@ here @@"
FILES = (
    "run.json",
    "spec.toml",
    "metrics.jsonl",
    "probes.jsonl",
    "result.json",
    "frames.json",
    "final.json",
    "step.json",
)
NEEDED_TO_RESUME = {"run.json", "spec.toml", "metrics.jsonl", "probes.jsonl", "frames.json", "step.json", "result.json"}
SUBPROCESS_EVERY = 40
RESUME_EVERY = 8


@functools.cache
def whole_run() -> Path:
    """A finished run, trained once in this process."""
    import atexit

    from thalweg.runs.train import run_spec
    from thalweg.spec.toml import read_spec

    place = Path(tempfile.mkdtemp(prefix="campaign-fields-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    (place / "rows.csv").write_text(ROWS)
    (place / "spec.toml").write_text(SPEC)
    run_spec(read_spec(str(place / "spec.toml")), place / "run")
    return place / "run"


def newest(folder: Path) -> Path:
    """The manifest of the newest checkpoint."""
    return max((folder / "checkpoints").glob("step-*.json"))


def place_of(folder: Path, name: str) -> Path:
    """The file of a run by its short name."""
    return {"final.json": folder / "checkpoints" / name, "step.json": newest(folder)}.get(name, folder / name)


def interrupted(folder: Path) -> Path:
    """A copy of the run as it was while it was trained: without its end and its last checkpoints."""
    copy = shutil.copytree(folder, folder.with_name("interrupted"))
    for name in ("result.json", "report.html", "checkpoints/final.json", "checkpoints/final.safetensors"):
        (copy / name).unlink(missing_ok=True)
    for path in sorted((copy / "checkpoints").glob("step-*"))[-2:]:
        path.unlink()
    return copy


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested tables and lists, the outer ones too; of a list the first entry."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The nested value with `new` at a place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def content_of(path: Path) -> Any:
    """What a file holds, as tables and lists; the lines of a file of records in a list."""
    text = path.read_text()
    if path.suffix == ".toml":
        return tomllib.loads(text)
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def write(path: Path, value: Any, wrong: str) -> None:
    """Write a file with a wrong value at its mark. A seal is made anew, as whoever changes a file would."""

    def text_of(value: Any) -> str:
        return json.dumps(value).replace(f'"{MARK}"', wrong)

    if path.suffix == ".toml":
        import tomli_w

        path.write_text(tomli_w.dumps(value).replace(f'"{MARK}"', wrong))
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{text_of(record)}\n" for record in value))
    else:
        if value.get("seal", MARK) != MARK:
            del value["seal"]
            with contextlib.suppress(ValueError, RecursionError):
                said = json.loads(text_of(value))
                value["seal"] = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        path.write_text(text_of(value))


def command(*words: str | Path) -> tuple[int, str]:
    """The exit code and the messages of `thalweg WORDS`, run in this process. Any exception but an exit is raised."""
    from thalweg.cli import shell

    # Pages are written to the bytes below the text.
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before = sys.argv
    sys.argv = ["thalweg", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            shell.main()
        return 0, _text(err)
    except SystemExit as ended:
        return int(ended.code or 0), _text(err)
    finally:
        sys.argv = before


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def commands(folder: Path) -> dict[str, tuple[str | Path, ...]]:
    """The commands that read a run."""
    rows = folder.parent / "new.csv"
    rows.write_text("\n".join(line.rpartition(",")[0] for line in ROWS.splitlines()))
    return {
        "predict": ("predict", folder, rows),
        "doctor": ("doctor", folder, "--json", "--quick"),
        "boundary": ("boundary", folder, "--json", "--quiet"),
        "report": ("report", folder, "--out", folder.parent / "page.html"),
    }


def answer(code: int, err: str, name: str) -> str:
    """What is wrong with the answer of a command, or ""; `name` is the damaged file."""
    if code in (0, 1, 3):
        return ""
    if code != 2 or "Traceback" in err:
        return f"exit code {code}: {err[-500:]}"
    if len(err) > 2100:
        return f"a message of {len(err)} characters"
    # A spec that a checkpoint was not made with is a change, which is named by its field. Rows that are written in
    # another way than those of the training may have a unit of any name.
    named = any(words in err for words in (Path(name).stem, "changed: ", "as in the training"))
    return "" if named else f"the message does not name {name}: {err[:500]}"


def read(folder: Path, name: str, turn: int) -> str:
    """What is wrong with how commands read a damaged run, or "". Of the slow commands, each has its turn."""
    code, err = command("runs", folder.parent, "--json")
    if code:
        return f"runs: exit code {code}: {err[-500:]}"
    tried = commands(folder)
    code, err = command(*tried["predict"])
    if problem := answer(code, err, name):
        return f"predict: {problem}"
    if code:
        # What the others say of a run that cannot be loaded is the same.
        tried = {"doctor": tried["doctor"]}
    words = list(tried.values())[turn % len(tried)]
    if problem := answer(*command(*words), name):
        return f"{words[0]}: {problem}"
    return ""


def resumed(folder: Path, name: str, turn: int) -> str:
    """What is wrong with how a damaged run is resumed, or ""."""
    code, err = command("train", "--resume", folder, "--quiet")
    if problem := answer(code, err, name):
        return f"resume: {problem}"
    if code == 0 and name in ("probes.jsonl", "frames.json", "result.json"):
        arrays = [safetensors.load_file(path / "checkpoints" / "final.safetensors") for path in (folder, whole_run())]
        if any((arrays[0][key] != arrays[1][key]).any() for key in arrays[1]):
            return "resume: other weights"
    return ""


def damage(name: str, path: tuple[Any, ...], number: int) -> Callable[[Path], str]:
    """A trial: a field of a file, replaced by each wrong value in turn."""

    def run(folder: Path) -> str:
        wrong = WRONG_TOML if name == "spec.toml" else WRONG
        (folder / "runs").mkdir()
        run = shutil.copytree(whole_run(), folder / "runs" / "run")
        shutil.copytree(whole_run(), folder / "runs" / "whole")
        stopped = interrupted(run)
        for copy, attempt in ((run, read), (stopped, resumed)):
            if copy is stopped and name not in NEEDED_TO_RESUME - {"result.json"}:
                continue
            file = place_of(copy, name)
            value = content_of(file)
            try:
                changed = replaced(value, path, MARK)
            except (KeyError, IndexError, TypeError):
                continue
            for turn, (kind, text) in enumerate(wrong.items(), number):
                if copy is stopped and turn % RESUME_EVERY:
                    continue
                again = shutil.copytree(copy, folder / "again" / "run") if copy is stopped else copy
                write(place_of(again, name), changed, text)
                if problem := attempt(again, name, turn):
                    return f"{kind}: {problem}"
                if copy is stopped:
                    shutil.rmtree(folder / "again")
            if number % SUBPROCESS_EVERY == 0 and copy is run:
                write(file, changed, wrong["deep"])
                for words in commands(run).values():
                    ended = thalweg(*words, folder=folder)
                    if ended.code == 2 and (problem := refused(ended)):
                        return f"{words[0]} as a process: {problem}"
                    if ended.code not in (0, 1, 2) or b"Traceback" in ended.err:
                        return f"{words[0]} as a process: exit code {ended.code}: {ended.err[-500:]!r}"
        return ""

    return run


def array_damages(array: np.ndarray) -> dict[str, np.ndarray | None]:
    """Eight wrong arrays in place of one."""
    return {
        "missing": None,
        "empty": array.ravel()[:0],
        "longer": np.concatenate([array.ravel(), array.ravel()]),
        "flat": array.reshape(-1, 1, 1),
        "whole numbers": array.astype(np.int16) if array.dtype.kind == "f" else array.astype(np.float32),
        "truth values": array.astype(bool),
        "NaN": np.full(array.shape, np.nan, np.float32),
        "large": np.full(array.shape, 1e38, np.float32),
    }


def damage_array(name: str, key: str) -> Callable[[Path], str]:
    """A trial: an array of a file, replaced by each wrong array in turn; its manifest says so."""

    def run(folder: Path) -> str:
        (folder / "runs").mkdir()
        copy = shutil.copytree(whole_run(), folder / "runs" / "run")
        if name == "step.json":
            copy = interrupted(copy)
        manifest = place_of(copy, name)
        arrays = safetensors.load_file(manifest.with_suffix(".safetensors"))
        said = content_of(manifest)
        for turn, (kind, wrong) in enumerate(array_damages(arrays[key]).items()):
            changed = {**arrays, key: wrong}
            content = safetensors.save({place: array for place, array in changed.items() if array is not None})
            again = shutil.copytree(copy, folder / "again" / "run")
            place_of(again, name).with_suffix(".safetensors").write_bytes(content)
            write(place_of(again, name), {**said, "sha256": hashlib.sha256(content).hexdigest()}, "")
            attempt = resumed if name == "step.json" else read
            if problem := attempt(again, Path(name).stem, turn):
                return f"{kind}: {problem}"
            shutil.rmtree(folder / "again")
        return ""

    return run


def damage_bytes(name: str, kind: str) -> Callable[[Path], str]:
    """A trial: a whole file that is no such file at all."""
    contents = {
        "empty": b"",
        "bytes": bytes(range(256)) * 40,
        "zeros": bytes(100_000),
        "deep": b"[" * 1_000_000,
        "text": b'"text"',
        "number": b"1e999",
        "long header": b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"{" * 100,
        "large": None,
    }

    def run(folder: Path) -> str:
        (folder / "runs").mkdir()
        copy = shutil.copytree(whole_run(), folder / "runs" / "run")
        file = place_of(copy, name)
        content = contents[kind]
        if content is None:
            with file.open("wb") as opened:
                opened.truncate(2**42)
        else:
            file.write_bytes(content)
        return read(copy, name, 0)

    return run


# The fields of the run that this file trains: the same in every process.
def trials() -> list[Trial]:
    """A trial for each field, each array and each file."""
    folder = whole_run()
    every = []
    for name in FILES:
        for path in leaves(content_of(place_of(folder, name))):
            words = ".".join(map(str, path))
            every.append(Trial(f"{name}: {words}", damage(name, path, len(every))))
    for name in ("final.json", "step.json", "frames.json"):
        arrays = safetensors.load_file(place_of(folder, name).with_suffix(".safetensors"))
        every += [Trial(f"{name}: array {key}", damage_array(name, key)) for key in sorted(arrays)]
    kinds = ("empty", "bytes", "zeros", "deep", "text", "number", "long header", "large")
    names = (*FILES, "frames.safetensors", "checkpoints/final.safetensors")
    return every + [Trial(f"{name}: {kind}", damage_bytes(name, kind)) for name in names for kind in kinds]
