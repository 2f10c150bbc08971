"""Terminals: hostile text in every place from which a command takes text, and streams that do not work as usual."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from trial import Ended, Trial

PAYLOADS = {
    "color": "\x1b[35;41;5m",
    "OSC 52": "\x1b]52;c;QUFB\x07",
    "title": "\x1b]0;owned\x1b\\",
    "cursor": "\x1b[2J\x1b[H\x1b[1A",
    "CR and BS": "safe\rbad\x08\x08",
    "bell and DEL": "\x07\x7f",
    "C1": "\x9b31m\x9d0;t\x9c\x85",
    "bidi": "\u202eabc\u202c\u2066x\u2069",
    "no width": "\u200b\u200d\ufeff\u2060",
    "separators": "\u2028\u2029\x0b\x0c",
    "markup": "[red]m[/red][link=http://x.y]l[/link]\x1b[1m",
}
EVERYTHING = "".join(PAYLOADS.values())
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def judged(ended: Ended, codes: set[int], encoding: str = "utf-8") -> str:
    """What is wrong with how a command ended, or ""."""
    text = (ended.out + ended.err).decode(encoding, "surrogateescape")
    hidden = sorted({sign for sign in text if sign not in "\n" and unicodedata.category(sign) in HIDDEN})
    if hidden:
        return f"reached the terminal: {hidden!r} in {text[-800:]!r}"
    if "Traceback" in text:
        return f"a traceback: {text[-800:]!r}"
    if ended.code not in codes:
        return f"exit code {ended.code}: {text[-800:]!r}"
    return ""


# In this process ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def inside(*words: str | Path, folder: Path, colors: bool = False) -> Ended:
    """`thalweg WORDS` in this process, and what it wrote."""
    from thalweg.cli import main

    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2)]
    argv, sys.argv = sys.argv, ["thalweg", *map(str, words)]
    if colors:
        os.environ["FORCE_COLOR"] = "1"
    code: object = 0
    try:
        with standing_in(folder), contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
    finally:
        sys.argv = argv
        os.environ.pop("FORCE_COLOR", None)
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue() for stream in streams)  # type: ignore[attr-defined]
    return Ended(int(str(code)), out, err)


def file_name(text: str) -> str:
    return text.replace("/", "_").replace("\0", "")[:80]


def table(folder: Path, text: str) -> Path:
    """A table whose names and values hold the text."""

    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    lines = [",".join(quoted(f"{name}{text}") for name in "abkt")]
    for row in range(24):
        lines.append(f"{row * 7 % 11}.5,{row * 5 % 13}.25,{quoted(f'{text}{row % 3}')},{quoted(f'{text}{row % 2}')}")
    path = folder / f"rows{file_name(text)}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    return path


def trained(folder: Path, text: str) -> tuple[Path, Path, Ended]:
    """The folder of a run on such a table, the table, and how the training ended."""
    rows = table(folder, text)
    run = folder / f"run {file_name(text)}"
    words = ["train", "--data", rows, "--target", f"t{text}", "--engine", "eager", "--epochs", "2", "--out", run]
    return run, rows, inside(*words, folder=folder)


RUN_COMMANDS: dict[str, Callable[[Path, Path], list[str | Path]]] = {
    "predict": lambda run, rows: ["predict", run, rows],
    "runs": lambda run, rows: ["runs", run.parent],
    "runs --json": lambda run, rows: ["runs", run.parent, "--json"],
    "report": lambda run, rows: ["report", run],
    "doctor": lambda run, rows: ["doctor", run],
    "doctor --json": lambda run, rows: ["doctor", run, "--json"],
    "explain": lambda run, rows: ["explain", run / "spec.toml", "--set", "training.engine=eager"],
    "explain markdown": lambda run, rows: ["explain", run / "spec.toml", "--format", "markdown"],
    "boundary": lambda run, rows: ["boundary", run, "--no-frames", "--quiet"],
    "boundary json": lambda run, rows: ["boundary", run, "--no-frames", "--quiet", "--json"],
}


def with_a_run(text: str, command: str, folder: Path) -> str:
    run, rows, ended = trained(folder, text)
    problem = judged(ended, {0})
    if problem:
        return f"train: {problem}"
    return judged(inside(*RUN_COMMANDS[command](run, rows), folder=folder), {0, 1})


WORDS: dict[str, tuple[str, ...]] = {
    "name of a spec": ("train", "{}"),
    "missing spec file": ("train", "{}.toml"),
    "--set": ("train", "xor", "--set", "{}"),
    "--set of a value": ("train", "xor", "--set", "optimizer.learning_rate={}"),
    "--set of a place": ("train", "xor", "--set", "network.{}=3"),
    "--target": ("train", "--data", "table.csv", "--target", "{}"),
    "--probes": ("train", "xor", "--probes", "{}"),
    "--resume": ("train", "--resume", "{}"),
    "an unknown option": ("train", "xor", "--{}"),
    "an unknown command": ("{}",),
    "a number": ("train", "xor", "--epochs", "{}"),
    "a lesson": ("lesson", "{}"),
    "a parameter of a lesson": ("lesson", "xor-relu", "--set", "{}=1"),
    "an exercise": ("exercise", "{}"),
    "an answer": ("exercise", "stable-softmax", "--answer", "a={}"),
    "a letter": ("exercise", "stable-softmax", "--answer", "{}=1"),
    "a landscape": ("arena", "{}"),
    "a formula": ("arena", "--formula", "x^2+{}"),
    "an optimizer": ("arena", "quadratic", "--optimizers", "{}"),
    "a run": ("predict", "{}", "{}"),
    "a folder of runs": ("runs", "{}"),
    "an experiment": ("experiment", "{}"),
    "--cluster": ("experiment", "momentum-and-rate", "--cluster", "{}"),
    "--features": ("boundary", "rings", "--features", "{}", "{}"),
    "--at": ("boundary", "rings", "--at", "{}"),
    "--format": ("explain", "xor", "--format", "{}"),
    "a suffix": ("explain", "xor", "--out", "page.{}"),
}


def with_words(place: str, text: str, colors: bool, folder: Path) -> str:
    words = [word.replace("{}", text) for word in WORDS[place]]
    table(folder, "").rename(folder / "table.csv")
    ended = inside(*words, folder=folder, colors=colors)
    # An answer that cannot be read is wrong or refused.
    return judged(ended, {1, 2})


def in_spec(text: str, where: str, folder: Path) -> str:
    string = "".join(f"\\u{ord(sign):04x}" for sign in text)
    lines = {
        "value": f'[optimizer]\nkind = "{string}"',
        "key": f'[optimizer]\nkind = "adam"\n"{string}" = 3',
        "table": f'["{string}"]\nx = 1',
        "broken": f"# fine\n{text} = [",
        "source": f'[data]\nsource = "{string}.csv"\ntarget = "{string}"',
    }
    path = folder / "spec.toml.toml"
    path.write_text(f"{lines[where]}\n", encoding="utf-8", newline="")
    return judged(inside("train", path, folder=folder), {2})


RESULT_FIELDS = ("outcome", "remarks", "diverged", "facts", "notes", "measures")


def in_result(field: str, folder: Path) -> str:
    """The text in a field of result.json, through `runs` and `doctor`."""
    import json

    run, _, ended = trained(folder, "")
    path = run / "result.json"
    result = json.loads(path.read_bytes())
    given: dict[str, object] = {
        "outcome": EVERYTHING,
        "remarks": [EVERYTHING],
        "diverged": EVERYTHING,
        "facts": {EVERYTHING: EVERYTHING, "finished": EVERYTHING},
        "notes": [EVERYTHING],
        "measures": {EVERYTHING: {EVERYTHING: 1.0}},
    }
    path.write_text(json.dumps(result | {field: given[field]}), encoding="utf-8")
    for words in (["runs", folder], ["runs", folder, "--json"], ["doctor", run], ["report", run]):
        if problem := judged(inside(*words, folder=folder), {0, 1, 2}):
            return f"{words[0]}: {problem}"
    return judged(ended, {0})


# In processes ---------------------------------------------------------------------------------------------------------


def shell(script: str, folder: Path, **environment: str) -> Ended:
    """A line of bash in which $T stands for `python -m thalweg`."""
    command = f"{shlex.quote(sys.executable)} -m thalweg"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; T={shlex.quote(command)}; {script}"],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


TRAIN = "$T train xor --engine eager --epochs 2 --out run"


def with_script(
    script: str, codes: set[int], shown: str, environment: dict[str, str], encoding: str, folder: Path
) -> str:
    ended = shell(script, folder, **environment)
    problem = judged(ended, codes, encoding)
    text = (ended.out + ended.err).decode(encoding, "replace")
    return problem or ("" if shown in text else f"{shown!r} is not told: {text[-800:]!r}")


def whole_run(closed: str, folder: Path) -> str:
    """A training with closed streams ends well, and its run is whole: nothing else is written into its files."""
    import json

    ended = shell(f"{TRAIN} {closed}", folder)
    if problem := judged(ended, {0}):
        return problem
    for line in (folder / "run" / "metrics.jsonl").read_bytes().splitlines():
        json.loads(line)
    return "" if (folder / "run" / "report.html").stat().st_size > 1000 else "no report"


def scripts() -> Iterator[tuple[str, str, set[int], str, dict[str, str], str]]:
    """Name, script, exit codes, what must be told, environment and encoding of the output."""
    for encoding in ("ascii", "cp1252", "latin-1", "cp437", "utf-8"):
        given = {"PYTHONIOENCODING": encoding}
        yield f"train in {encoding}", TRAIN, {0}, "accuracy", given, encoding
        yield f"explain in {encoding}", "$T explain xor", {0}, "Step 1 of the training", given, encoding
        yield f"lessons in {encoding}", "$T lesson", {0}, "xor-relu", given, encoding
        yield f"an answer in {encoding}", "$T exercise stable-softmax --answer a=1", {1, 2}, "", given, encoding
        yield f"a bad name in {encoding}", "$T train 'ηé→☃'", {2}, "no file, example", given, encoding
    c_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    yield "train in the C locale", TRAIN, {0}, "accuracy", c_locale, "utf-8"
    yield "a bad name in the C locale", "$T train 'ηé→☃'", {2}, "no file, example", c_locale, "utf-8"
    for width in ("0", "1", "5", "20", "words"):
        script = f"{TRAIN} --quiet && $T runs . && $T doctor run"
        yield f"COLUMNS={width}", script, {0, 1}, "run", {"COLUMNS": width}, "utf-8"
    for name, value in (("TERM", "dumb"), ("NO_COLOR", "1"), ("TERM", "")):
        yield f"{name}={value}", TRAIN, {0}, "accuracy", {name: value}, "utf-8"
    yield "HOME is missing", f"unset HOME; {TRAIN}", {0}, "accuracy", {}, "utf-8"
    yield "HOME is no folder", "$T train xor --epochs 2 --out run", {0}, "accuracy", {"HOME": "/proc/none"}, "utf-8"
    yield "no folder", 'mkdir d; cd d; rmdir "$PWD"; $T runs', {2}, "runs", {}, "utf-8"
    yield "no folder to train in", 'mkdir d; cd d; rmdir "$PWD"; ' + TRAIN, {2}, "run", {}, "utf-8"
    yield "a full device", "$T lesson > /dev/full", {2}, "cannot be written", {}, "utf-8"
    yield "a full device for a page", "$T explain xor > /dev/full", {2}, "cannot be written", {}, "utf-8"
    yield "a full device for JSON", "$T lesson --json > /dev/full", {2}, "cannot be written", {}, "utf-8"
    yield "a full device for HTML", "$T explain xor --format html > /dev/full", {2}, "cannot be written", {}, "utf-8"
    yield "a full device for messages", "$T train nothing 2> /dev/full", {2}, "", {}, "utf-8"
    yield "a full device in training", f"{TRAIN} 2> /dev/full", {0}, "accuracy", {}, "utf-8"
    for words in ("explain xor", "lesson", "explain xor --format html", "lesson --json", "train --help"):
        yield f"{words} | head -1", f"$T {words} | head -1", {0}, "", {}, "utf-8"
        yield f"{words} | true", f"$T {words} | true", {0}, "", {}, "utf-8"
    yield "train | true", f"{TRAIN} | true", {0}, "", {}, "utf-8"
    yield "a code of its own | true", f"{TRAIN} -q >/dev/null; $T doctor run | true", {1}, "", {}, "utf-8"
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"):
        yield f"lesson {closed}", f"$T lesson {closed}", {0}, "", {}, "utf-8"
        yield f"exercise {closed}", f"$T exercise stable-softmax {closed}", {0}, "", {}, "utf-8"
        yield f"bad input {closed}", f"$T train nothing {closed}", {2}, "", {}, "utf-8"
    name = r"$'caf\xe9\x1b[31m'"
    yield "a run folder not in UTF-8", f"$T train xor --engine eager --epochs 1 --out {name}", {0}, "udce9", {}, "utf-8"
    yield (
        "a table not in UTF-8",
        f"printf 'a,b\\n1,2\\n' > {name}.csv; $T train --data {name}.csv --target b",
        {2},
        ("UTF-8"),
        {},
        "utf-8",
    )
    yield "a spec not in UTF-8", f"printf 'x' > {name}.toml; $T train {name}.toml", {2}, "udce9", {}, "utf-8"
    yield "a page not in UTF-8", f"$T explain xor --out {name}.html", {0}, "udce9", {}, "utf-8"


def unreadable(folder: Path) -> str:
    """A folder that may not be read; a stand-in refuses, because root may read everything."""
    from unittest import mock

    (folder / "locked").mkdir()
    listing = Path.iterdir

    def refusing(path: Path) -> Iterator[Path]:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    with mock.patch.object(Path, "iterdir", refusing):
        ended = inside("runs", "locked", folder=folder)
    return judged(ended, {2}) or ("" if b"locked" in ended.err else "the folder is not named")


def trials() -> list[Trial]:
    """The trials of this kind."""
    made = [
        Trial(f"{command}: {kind}", partial(with_a_run, text, command))
        for number, (kind, text) in enumerate(PAYLOADS.items())
        for command in list(RUN_COMMANDS)[number % 3 :: 3]
    ]
    kinds = list(PAYLOADS.items())
    for number, place in enumerate(WORDS):
        kind, text = kinds[number % len(kinds)]
        made.append(Trial(f"{place}: {kind}", partial(with_words, place, text, False)))
        made.append(Trial(f"{place}: everything", partial(with_words, place, EVERYTHING + "\udcff", False)))
    made += [
        Trial(f"spec, {where}", partial(in_spec, EVERYTHING, where))
        for where in ("value", "key", "table", "broken", "source")
    ]
    made += [Trial(f"result.json, {field}", partial(in_result, field)) for field in RESULT_FIELDS]
    made += [Trial("an unreadable folder", unreadable)]
    made += [Trial(name, partial(with_script, *rest)) for name, *rest in scripts()]
    made += [
        Trial(f"train {closed}", partial(whole_run, closed))
        for closed in (">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-")
    ]
    return made
