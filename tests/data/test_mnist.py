import gzip
import hashlib
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from input_errors import input_error

from thalweg.core.errors import InputError
from thalweg.data import Data, Mnist, mnist


def idx(shape, values):
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(values)


SMALL = {
    "train-images-idx3-ubyte": idx((40, 2, 2), [i % 256 for i in range(160)]),
    "train-labels-idx1-ubyte": idx((40,), list(range(10)) * 4),
    "t10k-images-idx3-ubyte": idx((10, 2, 2), range(40)),
    "t10k-labels-idx1-ubyte": idx((10,), range(10)),
}


def test_the_full_set(mnist_folder):
    split = Data.of("mnist").load(0)
    assert (len(split.train), len(split.validation), len(split.test)) == (54000, 6000, 10000)
    assert split.train.image_shape == (28, 28)
    assert split.train.target_names == tuple("0123456789")
    assert split.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert split.train.x.dtype == np.float32
    assert split.train.x.min() == 0
    assert split.train.x.max() == 1
    assert split.preprocessing.span == (255.0,)
    counts = np.bincount(split.validation.y) / np.bincount(split.train.y)
    assert np.allclose(counts, 1 / 9, atol=1e-3)


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A mirror on this machine with an empty cache; yields the content of its files, which a test may change."""
    sent = {f"/{name}.gz": gzip.compress(content) for name, content in SMALL.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = sent.get(self.path)
            length = len(content or b"")
            if isinstance(content, tuple):
                content, length = content
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in SMALL.items()}
    monkeypatch.setattr(mnist, "MIRRORS", (f"http://127.0.0.1:{server.server_port}/",))
    monkeypatch.setattr(mnist, "MD5", md5)
    monkeypatch.setattr(mnist, "_cache", lambda: tmp_path / "cache" / "mnist")
    monkeypatch.delenv("THALWEG_DATA", raising=False)
    yield sent
    server.shutdown()
    thread.join()
    server.server_close()


def files_in(tmp_path):
    return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())


def test_downloads_once(mirror, tmp_path):
    split = Data("mnist", validation=0.25).load(0)
    assert (len(split.train), len(split.validation), len(split.test)) == (30, 10, 10)
    assert files_in(tmp_path) == sorted(f"{name}.gz" for name in SMALL)
    mirror.clear()
    assert len(Data.of("mnist").load(0).test) == 10


def test_an_interrupted_download_is_completed(mirror, tmp_path):
    content = mirror.pop("/t10k-labels-idx1-ubyte.gz")
    with input_error("mnist", "t10k-labels-idx1-ubyte.gz", "404"):
        Mnist().load(0)
    assert len(files_in(tmp_path)) == 3
    mirror["/t10k-labels-idx1-ubyte.gz"] = content
    assert len(Mnist().load(0).x_test) == 10


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (gzip.compress(b"something else", mtime=0), hashlib.md5(b"something else").hexdigest()),
        (gzip.compress(SMALL["train-images-idx3-ubyte"], mtime=0)[:-12], "127.0.0.1"),
        ((gzip.compress(SMALL["train-images-idx3-ubyte"], mtime=0)[:-12], 1000), "127.0.0.1"),
        (b"<html>not here</html>", "127.0.0.1"),
    ],
)
def test_no_incomplete_file_is_kept(mirror, tmp_path, content, fact):
    mirror["/train-images-idx3-ubyte.gz"] = content
    with input_error("mnist", "train-images-idx3-ubyte.gz", fact, "THALWEG_DATA"):
        Mnist().load(0)
    assert files_in(tmp_path) == []


def test_the_next_mirror_is_tried(mirror, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/", *mnist.MIRRORS))
    assert len(Mnist().load(0).x) == 40


def test_a_reason_that_all_mirrors_share_is_given_once(mirror, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/", "http://127.0.0.1:9/mnist/"))
    with pytest.raises(InputError) as raised:
        Mnist().load(0)
    assert str(raised.value).count("Connection refused") == 1


def test_a_cache_that_cannot_be_written_is_rejected(mirror, tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    with input_error(str(tmp_path / "cache" / "mnist" / "train-images-idx3-ubyte.gz"), "Not a directory"):
        Mnist().load(0)


def test_a_failed_write_leaves_nothing(mirror, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with input_error(str(tmp_path / "cache" / "mnist" / "train-images-idx3-ubyte.gz"), "No space left"):
        Mnist().load(0)
    assert files_in(tmp_path) == []


def test_a_folder_by_option_or_environment(mirror, tmp_path, monkeypatch):
    folder = tmp_path / "own" / "mnist"
    folder.mkdir(parents=True)
    for name, content in SMALL.items():
        (folder / name).write_bytes(content)
    mirror.clear()
    assert len(Data.of({"source": {"kind": "mnist", "folder": str(folder)}}).load(0).test) == 10
    for place in (folder, folder.parent):
        monkeypatch.setenv("THALWEG_DATA", str(place))
        assert len(Data.of("mnist").load(0).test) == 10
