"""Data: where they come from, how they are split and scaled, and how outputs are turned back.

split = Data.of("digits").load(seed=42)                  # a source by its name
split = Data("titanic.csv", target="survived").load(42)  # a table
split = Data.of((x, y)).load(42)                         # arrays
split.train.x, split.train.y, split.preprocessing, split.notes
"""

from .bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from .dataset import Dataset, Samples, Scale, Task
from .idx import read_idx
from .loading import Data, Split, infer_task
from .mnist import Mnist
from .own import Arrays, IdxFolder, TableFile
from .preprocessing import Preprocessing
from .source import Source
from .tables import Column, read_table
from .toy import And, Blobs, Moons, Or, Plane, Rings, Spiral, Wave, Xor

__all__ = [
    "And",
    "Arrays",
    "Blobs",
    "BreastCancer",
    "Column",
    "Data",
    "Dataset",
    "Diabetes",
    "Digits",
    "IdxFolder",
    "Iris",
    "Mnist",
    "Moons",
    "Or",
    "Plane",
    "Preprocessing",
    "Rings",
    "Samples",
    "Scale",
    "Source",
    "Spiral",
    "Split",
    "TableFile",
    "Task",
    "Wave",
    "Wine",
    "Xor",
    "infer_task",
    "read_idx",
    "read_table",
]
