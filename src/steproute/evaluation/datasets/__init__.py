"""Problems by name: the lab's, benchmarks of the data folder, plugins, Hugging Face data sets, or a user's own file."""

from steproute.core.ports import DataSet
from steproute.evaluation.datasets.benchmarks import BENCHMARKS
from steproute.evaluation.datasets.folder import data_file, data_folder
from steproute.evaluation.datasets.load import load_problems
from steproute.evaluation.datasets.readers import read_rows
from steproute.evaluation.datasets.rows import Fields

__all__ = ["BENCHMARKS", "DataSet", "Fields", "data_file", "data_folder", "load_problems", "read_rows"]
