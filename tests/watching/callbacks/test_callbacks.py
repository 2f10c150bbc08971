"""Callbacks on the real libraries: one short training each, seen step by step, with a planted fault that is found."""

from __future__ import annotations

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="LEFT OUT: callbacks; make torch installs it")

from torch import nn  # noqa: E402

import thalweg.watching  # noqa: E402
from thalweg.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the libraries


def rows():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    return x, (x[:, 0] > 0).long()


def library(name):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip(name, reason=f"LEFT OUT: the callback for {name}, which is not installed")


def codes(callback):
    return {finding.code for finding in callback.diagnose().findings}


def model(end=None):
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), *([end] if end else []))


def test_skorch():
    skorch = library("skorch")
    callback = thalweg.watching.SkorchCallback(quiet=True)
    with pytest.raises(InputError):
        callback.diagnose()
    net = skorch.NeuralNetClassifier(
        model(nn.Softmax(1)), criterion=nn.CrossEntropyLoss, lr=1e-6, max_epochs=4, batch_size=16, train_split=None,
        callbacks=[callback], verbose=0,
    )  # fmt: skip
    x, y = rows()
    net.fit(x.numpy(), y.numpy())
    assert callback.watch.training.steps == 16
    assert "activated-twice" in codes(callback)


def test_lightning():
    lightning = library("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, x):
            return self.inner(x)

        def training_step(self, batch, index):
            x, y = batch
            return nn.functional.cross_entropy(self(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1e-7)

    callback = thalweg.watching.LightningCallback(nn.functional.cross_entropy, quiet=True)
    trainer = lightning.Trainer(
        max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback],
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*rows()), batch_size=16)
    trainer.fit(Module(), loader)
    assert callback.watch.training.steps == 16
    assert "lr-too-low" in codes(callback)


def test_transformers(tmp_path):
    transformers = library("transformers")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, x=None, labels=None):
            logits = self.inner(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    x, y = rows()
    callback = thalweg.watching.TransformersCallback(quiet=True)
    arguments = transformers.TrainingArguments(
        str(tmp_path), num_train_epochs=4, per_device_train_batch_size=16, learning_rate=1e-9, report_to=[],
        save_strategy="no", disable_tqdm=True, use_cpu=True, logging_strategy="no",
    )  # fmt: skip
    data = [{"x": one, "labels": label} for one, label in zip(x, y, strict=True)]
    transformers.Trainer(Model(), arguments, train_dataset=data, callbacks=[callback]).train()
    assert callback.watch.training.steps == 16
    assert "lr-too-low" in codes(callback)


def test_keras():
    keras = library("keras")
    built = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    built.compile(keras.optimizers.SGD(1e-7), loss)
    original = built.optimizer.apply
    callback = thalweg.watching.KerasCallback(quiet=True)
    x, y = rows()
    before = np.concatenate([array.ravel() for array in built.get_weights()])
    built.fit(x.numpy(), y.numpy(), batch_size=16, epochs=4, verbose=0, callbacks=[callback])
    assert callback.watch.training.steps == 16
    assert built.optimizer.apply == original
    assert not np.array_equal(before, np.concatenate([array.ravel() for array in built.get_weights()]))
    assert "lr-too-low" in codes(callback)


def test_keras_on_another_backend(monkeypatch):
    keras = library("keras")
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(InputError, match="KERAS_BACKEND"):
        thalweg.watching.KerasCallback()
