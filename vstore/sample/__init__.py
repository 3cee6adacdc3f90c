"""The bundled sample corpus: the working folder of an invented tide-mill museum, and questions about it."""

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

from vstore.sample.queries import DEMO_QUERIES, DemoQuery

__all__ = ["DEMO_QUERIES", "DemoQuery", "corpus_folder"]


def corpus_folder() -> AbstractContextManager[Path]:
    """The folder with the sample corpus, readable for the length of a `with` block."""
    return resources.as_file(resources.files(__name__) / "corpus")
