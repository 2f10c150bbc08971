"""Folders of images, one subfolder for each class, decoded by Pillow.

A file may be damaged or hostile: its size in pixels is compared with Pillow's limit before any of them is decoded.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ...core.errors import InputError, Problem
from ...core.files import open_regular
from ...core.memory import check_memory
from ..dataset import ImageShape, Samples

if TYPE_CHECKING:
    from PIL.Image import Image

ColorMode = Literal["grayscale", "rgb"]

_FORMATS = ("PNG", "JPEG", "GIF")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif")
# What Pillow raises for damaged files, by format and kind of damage.
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_ORIENTATION = 0x0112
_UPRIGHT = 1
# 16 bits to 8: 65535 becomes 255.
_SIXTEEN_TO_EIGHT = 257
# Each number of the rows takes a byte in the file's array and four or more as a number of the network.
_BYTES = 5
_SHOWN_NAMES = 3


class _Header(NamedTuple):
    """What is known of an image before it is decoded: whether it has colours, and what its conversion does."""

    colored: bool
    conversions: tuple[str, ...]


def is_image_file(path: Path) -> bool:
    """Whether the name of a file ends as that of an image.

    >>> is_image_file(Path("cat.JPG")), is_image_file(Path("cats.csv"))
    (True, False)
    """
    return path.suffix.lower() in _SUFFIXES


def has_subfolders(folder: Path) -> bool:
    """Whether a folder has a subfolder that is not hidden."""
    return any(_subfolders(folder))


def read_image(path: Path, shape: ImageShape, resized: bool = False) -> np.ndarray:
    """An image as an array of that shape, uint8. Raises InputError for another size, unless it is `resized`."""
    size = shape[0], shape[1]
    with _opened(path) as image:
        numbers = _decoded(image, "grayscale" if len(shape) == 2 else "rgb", size if resized else None)
    if numbers.shape != shape:
        received = _size(numbers)
        raise InputError(str(path), f"expected {size[0]} x {size[1]} pixels (height x width), received {received}")
    return numbers


def read_image_folder(folder: Path, resize: tuple[int, int] | None, color_mode: ColorMode | None) -> Samples:
    """The images of a folder as rows of numbers 0 to 255, and their classes. Raises InputError with all problems."""
    classes = _classes(folder)
    files = [(file, name) for name, own in classes.items() for file in own]
    headers = _headers(folder, [file for file, _ in files])
    colored = sum(header.colored for header in headers)
    mode = color_mode or ("rgb" if colored else "grayscale")
    x, shape = _pixels(folder, [file for file, _ in files], mode, resize)
    conversions = Counter(words for header in headers for words in header.conversions)
    if mode == "rgb" and 0 < colored < len(files):
        conversions["grey and get three equal channels"] = len(files) - colored
    if mode == "grayscale" and colored:
        conversions["coloured and become grey"] = colored
    return Samples(
        x=x,
        y=np.array([name for _, name in files]),
        task="classification",
        image_shape=shape,
        scale="range",
        notes=(
            *(f"{count} of {len(files)} images are {words}" for words, count in conversions.items()),
            *_left(folder),
        ),
    )


def _subfolders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The files of each class, sorted. Raises InputError for classes without images."""
    if not folder.is_dir():
        raise InputError(str(folder), "there is no such folder")
    classes = {path.name: sorted(filter(is_image_file, path.iterdir())) for path in sorted(_subfolders(folder))}
    problems = []
    for name, files in classes.items():
        if not files:
            below = next((path.name for path in _subfolders(folder / name)), None)
            fix = f"it has the folder {below!r}: is {folder / name} the data?" if below else "remove it, or add images"
            problems.append(Problem(name, f"the class has no images ({', '.join(_SUFFIXES)}); {fix}"))
        if not name.isprintable():
            problems.append(Problem(repr(name), "the name of a class has characters that cannot be printed; rename it"))
    if not classes:
        problems.append(Problem("", "expected a subfolder of images for each class, received none"))
    if problems:
        raise InputError(str(folder), problems)
    return classes


def _left(folder: Path) -> Iterator[str]:
    """A note on files that are left out because of their endings."""
    others = [
        f"{path.parent.name}/{path.name}"
        for own in sorted(_subfolders(folder))
        for path in sorted(own.iterdir())
        if path.is_file() and not is_image_file(path) and not path.name.startswith(".")
    ]
    if others:
        more = f" and {len(others) - _SHOWN_NAMES} more" if len(others) > _SHOWN_NAMES else ""
        yield f"left out, because they are no PNG, JPEG or GIF files: {', '.join(others[:_SHOWN_NAMES])}{more}"


def _headers(folder: Path, files: Sequence[Path]) -> list[_Header]:
    """The headers of all files. Raises InputError with every file that is no image, too large or animated."""
    headers = []
    problems = []
    for file in files:
        try:
            with _opened(file) as image:
                headers.append(_Header(_is_colored(image), tuple(_conversions(image))))
        except InputError as error:
            problems += [problem.below(str(file.relative_to(folder))) for problem in error.problems]
    if problems:
        raise InputError(str(folder), problems)
    return headers


def _pixels(
    folder: Path, files: Sequence[Path], mode: ColorMode, size: tuple[int, int] | None
) -> tuple[np.ndarray, ImageShape]:
    """The images (n, features) as uint8, and the shape of one. Raises InputError for damage and several sizes."""
    x: np.ndarray | None = None
    problems = []
    sizes: Counter[str] = Counter()
    example: dict[str, str] = {}
    for index, file in enumerate(files):
        name = str(file.relative_to(folder))
        try:
            with _opened(file) as image:
                numbers = _decoded(image, mode, size)
        except InputError as error:
            problems += [problem.below(name) for problem in error.problems]
            continue
        sizes[_size(numbers)] += 1
        example.setdefault(_size(numbers), name)
        if x is None:
            needed = _BYTES * len(files) * numbers.size
            check_memory(str(folder), needed, "set resize = [height, width] to fewer pixels")
            x = np.empty((len(files), *numbers.shape), np.uint8)
        if numbers.shape == x.shape[1:]:
            x[index] = numbers
    if len(sizes) > 1:
        counted = "; ".join(
            f"{count} of {received}, such as {example[received]}" for received, count in sizes.most_common(_SHOWN_NAMES)
        )
        fix = "set resize = [height, width], for example --set data.source.resize=[32,32]"
        problems.append(Problem("", f"the images have {len(sizes)} sizes (height x width): {counted}; {fix}"))
    if problems:
        raise InputError(str(folder), problems)
    assert x is not None
    shape = x.shape[1:]
    return x.reshape(len(x), -1), (shape[0], shape[1]) if len(shape) == 2 else (shape[0], shape[1], shape[2])


def _size(numbers: np.ndarray) -> str:
    return f"{numbers.shape[0]} x {numbers.shape[1]}"


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """A context with an image whose header is read. Raises InputError for damaged, animated and too large images."""
    from PIL import Image, UnidentifiedImageError

    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(file, formats=_FORMATS) as image:
                if image.format in ("PNG", "GIF") and getattr(image, "is_animated", False):
                    raise InputError(str(path), "is an animation; save the image that is meant as a PNG file")
                yield image
        except InputError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
            raise InputError(str(path), f"claims more than {limit}, and is not decoded; save a smaller image") from None
        except UnidentifiedImageError:
            raise InputError(
                str(path), "is no PNG, JPEG or GIF file, or its header is damaged; save it again"
            ) from None
        except _FAULTS as error:
            raise InputError(str(path), f"is damaged: {error}; save it again") from None


def _is_colored(image: Image) -> bool:
    return not (_has_sixteen_bits(image) or image.mode in ("1", "L", "LA"))


def _has_sixteen_bits(image: Image) -> bool:
    """Whether a grey image has 16 bits; of coloured ones Pillow reads the higher 8 bits."""
    return image.mode.startswith("I")


def _conversions(image: Image) -> Iterator[str]:
    """What is changed in an image, as the end of a sentence on it."""
    if image.has_transparency_data:
        yield "transparent in places and are laid over white"
    if image.mode == "P":
        yield "of a palette and become RGB"
    if image.mode == "CMYK":
        yield "of CMYK and become RGB"
    if _has_sixteen_bits(image):
        yield "of 16 bits and become 8 bits"
    # Elsewhere than in JPEG files, EXIF data may follow the pixels.
    if image.format == "JPEG" and image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
        yield "turned as their EXIF data say"


def _decoded(image: Image, mode: ColorMode, size: tuple[int, int] | None) -> np.ndarray:
    """The numbers of an image, uint8: (height, width) or (height, width, 3), resized to `size` (height, width)."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if _has_sixteen_bits(image):
        image = Image.fromarray(np.round(np.asarray(image) / _SIXTEEN_TO_EIGHT).astype(np.uint8))
    if image.has_transparency_data:
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
    image = image.convert("L" if mode == "grayscale" else "RGB")
    if size is not None:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)
