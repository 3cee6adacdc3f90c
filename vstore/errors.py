"""Every error vstore raises on purpose, in one tree.

    VstoreError
    ├── InputError              an argument or a piece of content cannot be used
    │   ├── QueryError          the query or its k, mode or fusion is not usable
    │   ├── VectorMissingError  a chunk came without a vector, for its document was changed meanwhile
    │   └── FilterError         a filter names an unknown operator or an impossible value
    ├── NotFoundError           no such path, document, chunk or collection
    ├── ConfigError             the configuration file or an environment variable is wrong
    ├── LeakError               what is to be learned from would be judged by, too
    ├── MissingExtraError       an optional package is needed; the message has the install line
    ├── ModelError
    │   ├── UnknownModelError       the name is neither registered nor a model folder
    │   ├── ModelUnavailableError   no source could deliver the model
    │   └── ModelDamagedError       bytes do not match their sha256, or the weights make no sense
    ├── TrainingError           training diverged; what serves was not touched
    ├── RefinementBusyError     another refinement of the same store is at work
    ├── RefinementOvertakenError  its lease ran out, or another model became active meanwhile
    └── StoreError
        ├── NotAStoreError      the file is something else, or a folder
        ├── NewerStoreError     the file was written by a newer vstore
        ├── SpaceMismatchError  vectors of another embedding model
        ├── IncompleteSpaceError  chunks lack a vector of the model that is to serve
        ├── StoreBusyError      another process holds the write lock
        ├── StoreFullError      the disk (or a quota) is full
        ├── StoreDamagedError   SQLite reports corruption, or a file that is cut off
        └── DriverError         the SQLite library is too old or lacks a part

A message says what happened and what to do about it, in one line. Anything else that escapes is a bug.
"""


class VstoreError(Exception):
    """Base of the tree: catch this to catch everything vstore raises on purpose."""


class InputError(VstoreError):
    """An argument or a piece of content cannot be used."""


class VectorMissingError(InputError):
    """A chunk came without a vector, for its document was changed while it was being embedded."""


class QueryError(InputError):
    """The query, or its k, mode or fusion, is not usable."""


class FilterError(InputError):
    """A filter names an unknown operator or an impossible value."""


class NotFoundError(VstoreError):
    """No such path, document, chunk or collection."""


class ConfigError(VstoreError):
    """The configuration file or an environment variable is wrong."""


class LeakError(VstoreError):
    """A query or judgement would be both learned from and judged by."""


class MissingExtraError(VstoreError):
    """An optional package is needed; the message has the install line."""


class ModelError(VstoreError):
    """Something is wrong with an embedding model."""


class UnknownModelError(ModelError):
    """The name is neither registered nor a model folder."""


class ModelUnavailableError(ModelError):
    """No source could deliver the model; the message names each one that was tried."""


class ModelDamagedError(ModelError):
    """Model bytes do not match their sha256, or the weights make no sense."""


class TrainingError(VstoreError):
    """Training diverged; what serves was not touched."""


class RefinementBusyError(VstoreError):
    """Another refinement of the same store is at work; two at once would undo each other's decisions."""


class RefinementOvertakenError(VstoreError):
    """The run lost its lease, or the model it was compared with serves no more; it changed nothing."""


class StoreError(VstoreError):
    """Something is wrong with the store's file."""


class NotAStoreError(StoreError):
    """The file is something else, or a folder."""


class NewerStoreError(StoreError):
    """The file was written by a newer vstore; its bytes were not touched."""


class SpaceMismatchError(StoreError):
    """The store holds vectors of another embedding model."""


class IncompleteSpaceError(StoreError):
    """Some chunks lack a vector of the model that is to serve; the one that serves was not touched."""


class StoreBusyError(StoreError):
    """Another process held the write lock for longer than we wait."""


class StoreFullError(StoreError):
    """The disk or a quota is full; the last write was undone."""


class StoreDamagedError(StoreError):
    """SQLite reports that the file is corrupt or cut off."""


class DriverError(StoreError):
    """The SQLite library is too old or lacks a part that vstore needs."""
