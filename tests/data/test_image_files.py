"""Folders of images: what is read, what is converted and said, and what is refused."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from input_errors import input_error
from PIL import Image

from thalweg.core.errors import InputError
from thalweg.data import Data, Source
from thalweg.data.reading.image_files import read_image
from thalweg.data.user_data import ImageFolder

RED, GREEN = (255, 0, 0), (0, 255, 0)


def gray(height=4, width=6):
    return Image.fromarray(np.arange(height * width, dtype=np.uint8).reshape(height, width))


@pytest.fixture
def folder(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(3):
            gray().save(tmp_path / name / f"{index}.png")
    return tmp_path


def loaded(folder, **options):
    return ImageFolder(str(folder), **options).load(0)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_folder_by_class_is_read_as_rows_with_the_names_of_the_folders(folder):
    source = Source.of(str(folder))
    assert source == ImageFolder(str(folder))
    samples = source.load(0)
    assert samples.y.tolist() == ["cat"] * 3 + ["dog"] * 3
    assert samples.image_shape == (4, 6)
    np.testing.assert_array_equal(samples.x, np.tile(np.arange(24), (6, 1)))
    assert samples.notes == ()


def test_one_coloured_image_makes_all_of_them_colours_whose_channels_lie_next_to_each_other(folder):
    Image.new("RGB", (6, 4), (1, 2, 3)).save(folder / "dog" / "colour.png")
    samples = loaded(folder)
    assert samples.image_shape == (4, 6, 3)
    assert samples.x[-1].tolist() == [1, 2, 3] * 24
    assert samples.x[0, :6].tolist() == [0, 0, 0, 1, 1, 1]
    assert any("6 of 7" in note for note in samples.notes)


def test_colours_become_grey_by_the_weights_of_itu_r_601(folder):
    Image.new("RGB", (6, 4), (100, 200, 50)).save(folder / "dog" / "colour.png")
    samples = loaded(folder, color_mode="grayscale")
    assert samples.image_shape == (4, 6)
    assert samples.x[-1].tolist() == [round(0.299 * 100 + 0.587 * 200 + 0.114 * 50)] * 24


def test_resize_averages_over_the_area_of_a_new_pixel(folder):
    image = np.zeros((8, 12), np.uint8)
    image[:, 6:] = 200
    for file in folder.glob("*/*.png"):
        Image.fromarray(image).save(file)
    samples = loaded(folder, resize=(2, 4))
    assert samples.image_shape == (2, 4)
    first, second, third, fourth = samples.x[0].reshape(2, 4)[0].tolist()
    assert first == 0
    assert fourth == 200
    assert second + third == pytest.approx(200, abs=1)


def converted(folder, save):
    save(folder / "dog")
    samples = loaded(folder)
    shape = samples.image_shape
    return samples.x[-1].reshape(shape), " ".join(samples.notes)


def test_transparent_pixels_are_laid_over_white(folder):
    def save(dog):
        image = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
        image.putpixel((0, 0), (*RED, 255))
        image.putpixel((1, 0), (0, 0, 0, 128))
        image.save(dog / "x.png")

    pixels, notes = converted(folder, save)
    assert pixels[0, 0].tolist() == list(RED)
    assert pixels[0, 1] == pytest.approx([127] * 3, abs=1)
    assert pixels[0, 2].tolist() == [255] * 3
    assert "1 of 7 images are transparent" in notes


def test_a_palette_becomes_its_colours(folder):
    def save(dog):
        image = Image.new("P", (6, 4), 1)
        image.putpalette([*RED, *GREEN])
        image.save(dog / "x.png")

    pixels, notes = converted(folder, save)
    assert pixels[2, 3].tolist() == list(GREEN)
    assert "palette" in notes


def test_cmyk_becomes_rgb(folder):
    pixels, notes = converted(
        folder, lambda dog: Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(dog / "x.jpg", quality=100)
    )
    assert pixels[0, 0] == pytest.approx(list(RED), abs=4)
    assert "CMYK" in notes


def test_sixteen_bits_become_eight(folder):
    values = np.full((4, 6), 257 * 77, np.uint16)
    values[0, :3] = 0, 65535, 257 * 10 + 200
    pixels, notes = converted(folder, lambda dog: Image.fromarray(values).save(dog / "x.png"))
    assert pixels[0, :4].tolist() == [0, 255, 11, 77]
    assert "16 bits" in notes


def test_an_image_is_turned_upright_as_its_exif_data_say(folder):
    def save(dog):
        # Orientation 6: the camera was held so that the first row of the file is the right side of the scene.
        exif = Image.Exif()
        exif[0x0112] = 6
        image = Image.new("L", (4, 6), 0)
        image.paste(255, (0, 0, 4, 2))
        image.save(dog / "x.jpg", quality=100, exif=exif)

    pixels, notes = converted(folder, save)
    assert pixels.shape == (4, 6)
    assert pixels[:, -2:] == pytest.approx(np.full((4, 2), 255), abs=20)
    assert pixels[:, :3] == pytest.approx(np.zeros((4, 3)), abs=20)
    assert "EXIF" in notes


def test_images_of_several_sizes_are_named_with_the_fix(folder):
    gray(5, 6).save(folder / "dog" / "tall.png")
    with input_error(str(folder), "6 of 4 x 6", "1 of 5 x 6", "dog/tall.png", "resize"):
        loaded(folder)
    assert loaded(folder, resize=[4, 4]).x.shape == (7, 16)


def test_all_damaged_files_among_good_ones_are_named(folder):
    content = (folder / "cat" / "0.png").read_bytes()
    (folder / "cat" / "cut.png").write_bytes(content[:60])
    (folder / "dog" / "text.jpg").write_text("no image")
    (folder / "dog" / "empty.png").write_bytes(b"")
    with input_error(str(folder), "dog/text.jpg", "dog/empty.png"):
        loaded(folder)
    (folder / "dog" / "text.jpg").unlink()
    (folder / "dog" / "empty.png").unlink()
    with input_error(str(folder), "cat/cut.png"):
        loaded(folder)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_file_with_any_changed_or_missing_byte_is_read_or_refused(kind, tmp_path):
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(content, kind)
    good = content.getvalue()
    path = tmp_path / f"x.{kind.lower()}"
    for place in rng.integers(0, len(good), 150).tolist():
        damaged = bytearray(good)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged if place % 2 else good[:place])
        with contextlib.suppress(InputError):
            assert read_image(path, (8, 8, 3)).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_an_animation_is_refused(kind, folder):
    frames = [Image.new("L", (6, 4), shade) for shade in (0, 255)]
    frames[0].save(folder / "dog" / f"moving.{kind}", save_all=True, append_images=frames[1:])
    with input_error(str(folder), f"dog/moving.{kind}", "animation"):
        loaded(folder)


def test_a_gif_with_one_picture_is_an_image(folder):
    gray().save(folder / "dog" / "still.gif")
    assert loaded(folder).x.shape == (7, 72)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(folder):
    # 40,000 x 40,000 pixels of one bit each; the first megabyte of their lines takes a kilobyte.
    lines = zlib.compress(bytes(2**20))
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)
    (folder / "dog" / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    )
    with input_error(str(folder), "dog/bomb.png", f"{Image.MAX_IMAGE_PIXELS:,} pixels"):
        loaded(folder)


def test_images_that_do_not_fit_into_memory_are_refused_by_a_number(folder, monkeypatch):
    monkeypatch.setattr("thalweg.core.memory.machine_memory", lambda: 100)
    with input_error(str(folder), "memory", "resize"):
        loaded(folder)


def test_classes_without_images_are_named(folder):
    (folder / "bird").mkdir()
    (folder / "bird" / "notes.txt").write_text("none yet")
    with input_error(str(folder), "bird", "no images"):
        loaded(folder)


def test_a_folder_of_sets_is_not_read_as_classes(tmp_path):
    for place in ("train/cat", "test/cat"):
        (tmp_path / place).mkdir(parents=True)
        gray().save(tmp_path / place / "0.png")
    with input_error(str(tmp_path), str(tmp_path / "train")):
        loaded(tmp_path)


def test_other_files_are_left_out_and_named(folder):
    (folder / "cat" / "Thumbs.db").write_bytes(b"x")
    (folder / "cat" / ".hidden").write_bytes(b"x")
    samples = loaded(folder)
    assert len(samples.x) == 6
    assert "cat/Thumbs.db" in samples.notes[0]


def test_one_class_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    gray().save(tmp_path / "cat" / "0.png")
    gray().save(tmp_path / "cat" / "1.png")
    with input_error("y", "'cat'"):
        Data.of(str(tmp_path)).load(0)


@pytest.mark.parametrize("missing", ["gone", "file.png"])
def test_a_folder_that_is_none_is_refused(missing, tmp_path):
    (tmp_path / "file.png").write_bytes(b"")
    with input_error(str(tmp_path / missing), "no such folder"):
        loaded(tmp_path / missing)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_arrays_of_images_have_their_channels_last(channels):
    x = np.random.default_rng(0).integers(0, 255, (20, 5, 6, channels))
    split = Data.of((x, np.arange(20) % 2)).load(0)
    assert split.train.image_shape == ((5, 6) if channels == 1 else (5, 6, channels))
    np.testing.assert_allclose(split.preprocessing.inputs(x), x.reshape(20, -1) / x.max(), atol=0.02)


def test_arrays_whose_channels_come_first_are_refused():
    with input_error("x", "(20, 3, 8, 8)", "transpose(0, 2, 3, 1)"):
        Data.of((np.zeros((20, 3, 8, 8)), np.arange(20) % 2)).load(0)


def test_npy_files_of_coloured_images_are_read(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (20, 5, 6, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    source = {"kind": "npy", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    whole = Data.of({"source": source}).load(0)
    pieces = Data.of({"source": source, "memory": 1}).load(0)
    assert whole.train.image_shape == pieces.train.image_shape == (5, 6, 3)
    np.testing.assert_array_equal(whole.train.x, pieces.train.x)
