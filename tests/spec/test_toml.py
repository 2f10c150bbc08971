import numpy as np
import pytest
from input_errors import input_error

from thalweg.core.errors import InputError
from thalweg.parts.clipping import ClipGlobalNorm
from thalweg.parts.layers import Dense, Residual
from thalweg.parts.regularization import Regularization
from thalweg.parts.settings import Checkpoints, Stopping
from thalweg.spec.spec import Spec
from thalweg.spec.toml import example_names, read_spec, spec_of, to_toml

SPEC = {
    "data": {"source": {"kind": "rings", "samples": 500}, "validation": 0.25},
    "network": {
        "layers": ["dense 8", {"kind": "leaky_relu", "alpha": 0.2}, "dense 2", "softmax"],
        "init": "he_uniform",
    },
    "loss": {"kind": "cross_entropy"},
    "optimizer": {"kind": "nesterov", "learning_rate": {"kind": "cosine", "peak": 0.1, "steps": "10 epochs"}},
    "training": {"epochs": 3, "batch_size": "full", "engine": "eager"},
}


def read_again(spec, folder):
    """The spec read from the file that it is written to."""
    path = folder / "again.toml"
    path.write_text(to_toml(spec))
    return read_spec(str(path))


def test_a_spec_survives_its_own_toml(tmp_path):
    spec = Spec.of(SPEC)
    assert read_again(spec, tmp_path) == spec


@pytest.mark.parametrize("name", example_names())
def test_every_example_survives_its_own_toml(name, tmp_path):
    spec = read_spec(name)
    assert read_again(spec, tmp_path) == spec


def test_the_sections_of_a_training_survive_their_own_toml(tmp_path):
    spec = Spec.of(
        SPEC
        | {
            "training": {"epochs": 3, "engine": "eager", "accumulate": 4, "clip": "global_norm 1.0", "average": 0.999},
            "regularization": {"l1": 1e-5, "l2": 1e-4, "weight_decay": 0.01, "max_norm": 3.0, "biases": True},
            "stopping": {
                "measure": "validation_accuracy",
                "patience": 5,
                "threshold": 0.01,
                "target": 0.99,
                "seconds": 60.0,
            },
            "checkpoints": {"every": 2, "keep": 5, "best": False},
        }
    )
    assert read_again(spec, tmp_path) == spec
    assert (spec.training.clip, spec.training.accumulate) == (ClipGlobalNorm(1.0), 4)
    assert spec.regularization == Regularization(l1=1e-5, l2=1e-4, weight_decay=0.01, max_norm=3.0, biases=True)
    assert spec.stopping == Stopping(
        measure="validation_accuracy", patience=5, threshold=0.01, target=0.99, seconds=60.0
    )
    assert spec.checkpoints == Checkpoints(every=2, keep=5, best=False)


def test_changes_are_made_before_the_settings():
    spec = read_spec("xor", ["training.epochs=5"], [("training.epochs", 7), ("training.seed", 3)])
    assert (spec.training.epochs, spec.training.seed) == (5, 3)


def test_the_problems_of_a_spec_name_its_file():
    with pytest.raises(InputError) as raised:
        spec_of({"data": {"source": "ring"}, "trainig": {}}, "my.toml")
    assert raised.value.subject == "my.toml"
    assert [problem.place for problem in raised.value.problems] == ["trainig", "data.source"]


def test_an_experiment_is_not_a_spec():
    with input_error("my.toml", "thalweg experiment my.toml"):
        spec_of({"vary": {}}, "my.toml")


@pytest.mark.parametrize(
    ("name", "subject", "fact"),
    [("digit", "spec", "did you mean 'digits'"), ("nowhere.toml", "nowhere.toml", "No such file")],
)
def test_an_unknown_spec_is_rejected_with_a_hint(name, subject, fact):
    with input_error(subject, fact):
        read_spec(name)


def test_a_file_of_rows_is_not_a_spec(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n")
    with input_error("spec", str(path), "--data"):
        read_spec(str(path))


@pytest.mark.parametrize("content", [b"[data\nsource=1", b"\xff\xfe\x00"])
def test_text_that_is_not_toml_is_rejected(content, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with input_error(str(path), "TOML"):
        read_spec(str(path))


def test_files_next_to_a_spec_are_found_from_any_folder(tmp_path):
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", np.arange(4))
    (tmp_path / "npy").write_text("a file that is called like a kind")
    file = tmp_path / "spec.toml"
    file.write_text('[data]\nsource = { kind = "npy", x = "x.npy", y = "elsewhere.npy" }\n')
    source = read_spec(str(file)).data.source
    assert (source.x, source.y) == (str(tmp_path / "x.npy"), "elsewhere.npy")


def test_a_folder_next_to_a_spec_is_found_from_any_folder(tmp_path):
    (tmp_path / "flowers").mkdir()
    file = tmp_path / "spec.toml"
    for name, expected in (("flowers", str(tmp_path / "flowers")), ("elsewhere", "elsewhere")):
        file.write_text(f'[data]\nsource = {{ kind = "images", folder = "{name}" }}\n')
        assert read_spec(str(file)).data.source.folder == expected


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 500 + "]" * 500,
        "a = " + "[" * 5000,
        "a = " + "{a=" * 5000,
        "a" + ".a" * 20_000 + " = 1",
        "[a" + ' . "a"' * 20_000 + "]",
        "a = 1" + "0" * 30,
        "a = -" + "1" * 10_000,
        "a = 0x" + "f" * 100_000,
        "a = [" + "1," * 30_000 + "]",
        "\n".join(f"k{number} = 1" for number in range(30_000)),
        "#" * 2**21,
        "[data]\nsource = 'xor'\n[network]\nlayers = [" + "'dense 2'," * 1001 + "]",
        "[data]\nsource = 'xor'\n[network]\nlayers = ['dense " + "9" * 5000 + "']",
        "[data]\nsource = '" + "x" * 10**6 + "'",
    ],
    ids=lambda text: f"{text[:12]}-{len(text)}",
)
def test_a_spec_is_bounded_and_so_is_what_is_said_of_it(text, tmp_path):
    path = tmp_path / "hostile.toml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_spec(str(path))
    assert raised.value.subject == str(path)
    assert len(str(raised.value)) <= 2000


@pytest.mark.parametrize(
    "setting", ["network=" + "[" * 2000 + "]" * 2000, "training.seed=" + "1" * 10_000, "training.seed=1" + "0" * 30]
)
def test_a_setting_is_bounded(setting):
    with pytest.raises(InputError) as raised:
        read_spec("xor", [setting])
    assert len(str(raised.value)) <= 2000


def test_blocks_are_nested_to_a_bound_however_they_are_given():
    table = "dense 2"
    block = Dense(2)
    for _ in range(16):
        table = {"kind": "residual", "layers": [table]}
        block = Residual((block,))
    spec = Spec.of({"data": "xor", "network": [table]})
    assert spec.network.layers == (block,)
    with pytest.raises(InputError):
        Residual((block,))
    for _ in range(500):
        table = {"kind": "residual", "layers": [table]}
    with pytest.raises(InputError):
        Spec.of({"data": "xor", "network": [table]})
