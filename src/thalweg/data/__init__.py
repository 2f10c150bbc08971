"""Sources of rows, their split into sets, their scaling and order, and the way back from outputs to values.

split = Data.of("digits").load(seed=42)                  # a source by its name
split = Data("titanic.csv", target="survived").load(42)  # a table
split = Data.of((x, y)).load(42)                         # arrays
split.train.x, split.train.y, split.preprocessing, split.notes
"""

from .bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from .dataset import Dataset, ImageShape, Samples, Scale, Task
from .idx import read_idx
from .loading import Data, Split, infer_task
from .mnist import Mnist
from .orders import Balanced, Buckets, Curriculum, EpochIndex, Fixed, InTime, Order, Shuffled, Stratified
from .preprocessing import Preprocessing, RawRows
from .reading.table_files import TableOptions, read_table
from .source import Source
from .streaming import RowSource, StreamedDataset
from .tables import Column
from .toy import And, Blobs, Gaussians, Hills, Moons, Or, Plane, Quadrants, Rings, Spiral, Wave, Xor
from .user_data import AbsentArrays, Arrays, IdxFolder, ImageFolder, NpyFiles, TableFile

__all__ = [
    "AbsentArrays",
    "And",
    "Arrays",
    "Balanced",
    "Blobs",
    "BreastCancer",
    "Buckets",
    "Column",
    "Curriculum",
    "Data",
    "Dataset",
    "Diabetes",
    "Digits",
    "EpochIndex",
    "Fixed",
    "Gaussians",
    "Hills",
    "IdxFolder",
    "ImageFolder",
    "ImageShape",
    "InTime",
    "Iris",
    "Mnist",
    "Moons",
    "NpyFiles",
    "Or",
    "Order",
    "Plane",
    "Preprocessing",
    "Quadrants",
    "RawRows",
    "Rings",
    "RowSource",
    "Samples",
    "Scale",
    "Shuffled",
    "Source",
    "Spiral",
    "Split",
    "Stratified",
    "StreamedDataset",
    "TableFile",
    "TableOptions",
    "Task",
    "Wave",
    "Wine",
    "Xor",
    "infer_task",
    "read_idx",
    "read_table",
]
