"""The exceptions that setlist raises on purpose, each with a message and a remedy.

SetlistError
├── SettingsError             a settings file, a policy, an option or a variable of the environment
├── DataError                 a table: its format, columns or rows
├── ModelError                a model folder, or what a model answers
├── EvaluationError           an evaluation, or a verdict on it
├── StoreError                a model store
│   ├── StoreNotFoundError    no such store, model or revision
│   ├── StoreDamagedError     what is there is not what was written
│   ├── StoreConflictError    somebody else wrote first
│   ├── StoreRefusedError     the store does not allow it
│   ├── StoreUntrustedError   no trusted key has signed it
│   └── StoreUnreachableError no answer
├── ClusterError              Kubeflow, Kubernetes, a registry or a container engine
│   ├── ClusterNotFoundError
│   ├── ClusterConflictError
│   └── ClusterUnreachableError
└── MissingExtraError         a package that the base installation does not have
"""

from setlist.printable import one_line


class SetlistError(Exception):
    """A fault that its reader can mend.

    `str(error)` is one sentence with both parts, which steps and the command line print without a
    traceback before they end with a non-zero exit code. It is one line that any terminal and log
    can show, whatever names stand in it; the attributes hold them as they are.

    Attributes:
        message: what is wrong: the file, key or row at fault, and an example of the value.
        remedy: what to do about it, without a full stop; "" where that follows from the message.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        message = one_line(self.message)
        return f"{message}; {one_line(self.remedy)}." if self.remedy else message


class SettingsError(SetlistError):
    """A settings file, a policy, an option or a variable of the environment."""


class DataError(SetlistError):
    """A table: its format, its columns or its rows."""


class ModelError(SetlistError):
    """A model folder, or what a model answers."""


class EvaluationError(SetlistError):
    """An evaluation, or a verdict on it."""


class StoreError(SetlistError):
    """A model store, or a place of objects."""


class StoreNotFoundError(StoreError):
    """There is no such store, model or revision."""


class StoreDamagedError(StoreError):
    """What the store holds is not what was written into it."""


class StoreConflictError(StoreError):
    """Somebody else wrote first: nothing was changed, and the caller may look and try again."""


class StoreRefusedError(StoreError):
    """The store does not allow it; trying again does not help."""


class StoreUntrustedError(StoreError):
    """Nobody who is trusted has signed what the store holds."""


class StoreUnreachableError(StoreError):
    """The store does not answer; trying again later may help."""


class ClusterError(SetlistError):
    """Kubeflow, Kubernetes, a registry or a container engine."""


class ClusterNotFoundError(ClusterError):
    """There is no such thing on the cluster."""


class ClusterConflictError(ClusterError):
    """Somebody else made it or changed it first."""


class ClusterUnreachableError(ClusterError):
    """The cluster does not answer."""


class MissingExtraError(SetlistError, ModuleNotFoundError):
    """A package that the base installation does not have.

    The remedy names the extra that brings it. `name` is the package, as in every
    ModuleNotFoundError, so that `except ImportError` catches it as well.
    """


EXTRAS = {
    "tensorflow": ("train", "serve", "dashboard"),
    "duckdb": ("train",),
    "pyspark": ("spark",),
    "tensorflow_recommenders": ("train",),
    "tf_keras": ("train",),
    "threadpoolctl": ("train",),
    "jinja2": ("train", "dashboard"),
    "matplotlib": ("train",),
    "kfp": ("train,kubeflow",),  # what imports kfp runs or compiles the steps, which need both
    "docker": ("kubeflow",),
    "google.cloud.bigquery_storage_v1": ("bigquery",),  # of `google` the base has other parts
    "fastapi": ("serve",),
    "starlette": ("serve",),
    "uvicorn": ("serve",),
    "httptools": ("serve",),
    "altair": ("dashboard",),
    "streamlit": ("dashboard",),
    "model_signing": ("sign",),
    "OpenSSL": ("sign",),  # asked for by the signers of model_signing
}
"""The extras that bring a package, by the name under which the package is imported."""


def missing_extra(fault: ModuleNotFoundError, extra: str = "") -> MissingExtraError | None:
    """The sentence for a package that an extra brings; None for any other package.

    Args:
        fault: what the import raised.
        extra: the extra to name if it is one of several that bring the package.
    """
    name = fault.name or ""
    package = next((each for each in EXTRAS if f"{name}.".startswith(f"{each}.")), None)
    if package is None:
        return None
    named = extra if extra in EXTRAS[package] else EXTRAS[package][0]
    error = MissingExtraError(
        f"{package} is not installed", f"install it with: pip install 'setlist[{named}]'"
    )
    error.name = package
    return error
