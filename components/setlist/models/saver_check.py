"""Which functions of a SavedModel are its saver, and may read and write files.

A server restores the variables by asking the node that `saver_def` names, with the name of the
model's own file. Nothing else may lead to the function behind it, and the function may make names
of files of its argument only.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

from setlist.models.function_calls import Message, called
from setlist.models.operations import SAVER_FILES

MOST_STEPS = 32
"""From the name of a file back to the argument, lest nodes go round in a circle."""


def trusted_savers(meta: Message, functions: Mapping[str, Message]) -> set[str]:
    """The names of the functions that save and restore, where they can do nothing else.

    Args:
        meta: the MetaGraphDef.
        functions: its FunctionDefs by name.
    """
    saver = meta.saver_def
    nodes = {node.name: node for node in meta.graph_def.node}
    file = nodes.get(_node(saver.filename_tensor_name))
    asked = {_node(saver.save_tensor_name), _node(saver.restore_op_name)}
    if file is None or file.op != "Placeholder" or asked & set(_led_to(meta)):
        return set()
    mentions = Counter(_mentioned(meta))
    trusted = set()
    for node in map(nodes.get, asked):
        if node is None or node.op not in {"PartitionedCall", "StatefulPartitionedCall"}:
            continue
        name = node.attr["f"].func.name
        given = [_node(tensor) for tensor in node.input[:1]] == [file.name]
        if given and mentions[name] == 1 and name in functions and _keeps_to(functions[name]):
            trusted.add(name)
    return trusted


def _node(tensor: str) -> str:
    """The node that a tensor, or the input of a node, is of."""
    return tensor.removeprefix("^").partition(":")[0]


def _led_to(meta: Message) -> Iterator[str]:
    """The nodes of the main graph to which another node, a signature or a collection leads."""
    for node in meta.graph_def.node:
        yield from map(_node, node.input)
    for signature in meta.signature_def.values():
        for info in [*signature.inputs.values(), *signature.outputs.values()]:
            yield _node(info.name)
            for part in info.composite_tensor.components:
                yield _node(part.name)
            coo = info.coo_sparse
            yield from map(
                _node,
                (coo.values_tensor_name, coo.indices_tensor_name, coo.dense_shape_tensor_name),
            )
    for collection in meta.collection_def.values():
        yield from map(_node, collection.node_list.value)


def _mentioned(meta: Message) -> Iterator[str]:
    """The functions that anything names, as often as it does."""
    library, objects = meta.graph_def.library, meta.object_graph_def
    for node in meta.graph_def.node:
        yield from called(node.attr)
    for function in library.function:
        yield from called(function.attr)
        for node in function.node_def:
            yield node.op
            yield from called(node.attr)
    for gradient in library.gradient:
        yield from (gradient.function_name, gradient.gradient_func)
    for registered in library.registered_gradients:
        yield registered.gradient_func
    yield from objects.concrete_functions
    for item in objects.nodes:
        yield from item.function.concrete_functions
        yield item.bare_concrete_function.concrete_function_name
        yield item.captured_tensor.concrete_function


def _keeps_to(function: Message) -> bool:
    """Whether all names of files of a function begin with its first argument."""
    nodes = {node.name: node for node in function.node_def}
    argument = next((one.name for one in function.signature.input_arg), None) or None

    @cache
    def plain(tensor: str, steps: int) -> bool:
        """Whether it is a text that leads to no folder above."""
        node = nodes.get(_node(tensor))
        if node is None or not steps:
            return False
        if node.op in {"Select", "SelectV2"}:
            return all(plain(one, steps - 1) for one in node.input[1:3])
        texts = node.attr["value"].tensor.string_val
        return node.op == "Const" and not any(b".." in text for text in texts)

    @cache
    def of_argument(tensor: str, steps: int) -> bool:
        node = nodes.get(_node(tensor))
        if node is None:
            return tensor == argument
        first, *others = [one for one in node.input if not one.startswith("^")] or [""]
        if not steps or not of_argument(first, steps - 1):
            return False
        if node.op == "StringJoin":
            return all(plain(one, steps - 1) for one in others)
        if node.op == "Pack":
            return all(of_argument(one, steps - 1) for one in others)
        return node.op in {"Identity", "ShardedFilename"}

    return all(
        of_argument(tensor, MOST_STEPS)
        for node in function.node_def
        for tensor in _file_names(node)
    )


def _file_names(node: Message) -> list[str]:
    """The inputs of a node that name files; "" where one is missing."""
    return [(*node.input, "", "")[place] for place in SAVER_FILES.get(node.op, ())]
