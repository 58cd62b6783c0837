"""A SavedModel is a program: what of it may run is checked before anything of it does.

The check reads `saved_model/saved_model.pb` and executes nothing. It covers the main graph and all
functions of the library, also those that nothing seems to call: which of them run is decided by
signatures, initializers, restored objects, the rewriting of graphs and the server that loads it,
and what is refused for no reason was of no use in the model.

- Every operation is one of `setlist.models.operations`, or the caller allows it.
- Every function that is called is in the library, once, and none calls itself, directly or
  through others: that would be a loop.
- Only the two functions of the saver read and write files, which are named by their argument. No
  signature, initializer or object leads to them.
- The folder holds what TensorFlow writes into it and nothing beside, no link, and no second graph.
- What stands in the graph is small when it is expanded, so that it can be loaded.

A model that passes still may compute for long, hold much memory, or lie: deadlines and limits of
memory bound that, and the gate.
"""

from collections.abc import Collection
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path, PurePosixPath
from re import fullmatch

from setlist.errors import ModelError
from setlist.models.function_calls import Bodies, Message, check_calls, place, quoted
from setlist.models.operations import OPERATIONS, PATTERN, SAVER_OPERATIONS
from setlist.models.saver_check import trusted_savers
from setlist.models.tf import saved_model_pb2

MOST_BYTES = 2**28
"""Of saved_model.pb. What is as large as the catalogue stands in variables/; see `frozen`."""
MOST_VALUES = 2**24
"""In all constants together: a constant can claim any size in a few bytes."""

FILES = ("saved_model.pb", "fingerprint.pb", "variables/variables.*", "assets/*")
CLASSES = frozenset({"", "tf.StaticHashTable", "tf.TrackableConstant"})
"""Registered Python classes that may restore an object of a model."""


def check_graph(folder: Path, allowed: Collection[str] = ()) -> None:
    """Refuse a model whose graph could do more than compute.

    Args:
        folder: a model folder.
        allowed: names of further operations that may stand in it.

    Raises:
        ModelError: naming the operation, the node and the function, or what else is wrong.
    """
    saved = folder / "saved_model"
    _check_files(saved)
    meta = _read(saved / "saved_model.pb")
    functions = _functions(saved, meta, {*OPERATIONS, *SAVER_OPERATIONS, *allowed})
    bodies = {name: function.node_def for name, function in functions.items()}
    bodies[""] = meta.graph_def.node
    _check_operations(saved, bodies, trusted_savers(meta, functions), allowed)
    check_calls(saved, bodies, functions)
    _check_constants(saved, bodies)
    _check_objects(saved, meta)


def _check_files(saved: Path) -> None:
    for path in [saved, *sorted(saved.rglob("*"))]:
        inside = path.relative_to(saved).as_posix()
        if path.is_symlink():
            raise ModelError(
                f"{saved}: {quoted(inside)} is a link", "copy the file itself into the model folder"
            )
        known = path.is_file() and any(fnmatchcase(inside, name) for name in FILES)
        if not known and not path.is_dir():
            raise ModelError(
                f"{saved}: {quoted(inside)} is no part of a SavedModel that is used here",
                "leave it out of the model folder",
            )


def _read(path: Path) -> Message:
    """The MetaGraphDef."""
    size = path.stat().st_size if path.is_file() else 0
    if not 0 < size <= MOST_BYTES:
        raise ModelError(
            f"{path} has {size:,} bytes, where a graph has 1 to {MOST_BYTES:,}",
            "keep what is as large as the catalogue in variables, not in constants",
        )
    try:
        model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except Exception as fault:
        raise ModelError(f"{path} is not readable", "export the model again") from fault
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise ModelError(
            f"{path} holds {len(model.meta_graphs)} graphs, or one of TensorFlow 1",
            "export the model with tf.saved_model.save, which writes one of TensorFlow 2",
        )
    return model.meta_graphs[0]


def _functions(saved: Path, meta: Message, operations: Collection[str]) -> dict[str, Message]:
    """The FunctionDefs by name, where a name means one thing."""
    functions = dict[str, Message]()
    for function in meta.graph_def.library.function:
        name = function.signature.name
        if not name or name in functions or name in operations:
            raise ModelError(
                f"{saved}: the function {quoted(name)} has no name of its own",
                "export the model again",
            )
        functions[name] = function
    return functions


def _check_operations(
    saved: Path, bodies: Bodies, savers: Collection[str], allowed: Collection[str]
) -> None:
    for name, nodes in bodies.items():
        fine = {*OPERATIONS, *allowed, *(SAVER_OPERATIONS if name in savers else ())}
        for node in nodes:
            if node.op in fine:
                continue
            operation = quoted(node.op)
            if node.op in SAVER_OPERATIONS:
                raise ModelError(
                    f"{place(saved, name, node)} has the operation {operation}, which only the "
                    "saver of a model may have, with file names made of its argument",
                    "export it again with tf.saved_model.save and without it, or allow it: "
                    f"policy.operations: [{node.op}]",
                )
            if not fullmatch(PATTERN, node.op):
                raise ModelError(
                    f"{place(saved, name, node)} has the operation {operation}, which is none",
                    "export the model again",
                )
            raise ModelError(
                f"{place(saved, name, node)} has the operation {operation}, which is not one of "
                "those of which a model may be made",
                f"export it again without it, or allow {node.op}: policy.operations: [{node.op}]",
            )


def _check_constants(saved: Path, bodies: Bodies) -> None:
    """Before a tensor of a few bytes that claims 2^40 values is made one."""
    values = 0
    for name, nodes in bodies.items():
        for node in nodes:
            for attribute in node.attr.values():
                for tensor in [attribute.tensor, *attribute.list.tensor]:
                    values += prod(abs(dim.size) for dim in tensor.tensor_shape.dim)
            if values > MOST_VALUES:
                raise ModelError(
                    f"{place(saved, name, node)} brings the constants to {values:,} values, more "
                    f"than {MOST_VALUES:,}",
                    "keep what is as large as the catalogue in variables, not in constants",
                )


def _check_objects(saved: Path, meta: Message) -> None:
    """What Python makes of the objects of a model when it loads it, and where their files are."""
    for item in meta.object_graph_def.nodes:
        if item.registered_name not in CLASSES or item.registered_saver:
            registered = item.registered_saver or item.registered_name
            raise ModelError(
                f"{saved} has an object that Python code by the name {quoted(registered)} restores",
                "export it as a tf.Module of variables, lookups and functions",
            )
    for asset in meta.asset_file_def:
        path = PurePosixPath(asset.filename)
        if path.is_absolute() or ".." in path.parts:
            raise ModelError(
                f"{saved} has the asset {quoted(asset.filename)}, which leaves its folder",
                "export the model again",
            )
