"""Which function of a SavedModel calls which, and that this ends."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from setlist.errors import ModelError

MOST_NODES = 1_000_000
"""With each function counted wherever it is called, as TensorFlow expands it; ours have 3,000."""
MOST_DEPTH = 64
"""Of functions that call functions; ours call at most 8 deep."""

Message = Any
"""A message of TensorFlow, which has no types."""
Bodies = Mapping[str, Sequence[Message]]
"""The NodeDefs of each function by its name, and of the main graph by ""."""


def quoted(text: str) -> str:
    """A name from a model, on one line and short, whatever stands in it."""
    return ascii(text if len(text) <= 80 else f"{text[:80]}...")


def place(saved: Path, function: str, node: Message) -> str:
    """Where a node stands, for a sentence."""
    within = f"function {quoted(function)}" if function else "the main graph"
    return f"{saved}: node {quoted(node.name)} of {within}"


def called(attributes: Mapping[str, Message]) -> Iterator[str]:
    """The functions that the attributes of a node or of a function name."""
    for value in attributes.values():
        for function in [value.func, *value.list.func]:
            if function.name:
                yield function.name
            yield from called(function.attr)


def check_calls(saved: Path, bodies: Bodies, functions: Mapping[str, Message]) -> None:
    """Refuse calls that do not end, or whose expansion does not fit into memory.

    Args:
        saved: the folder, for the sentences.
        bodies: of all functions and of the main graph.
        functions: the FunctionDefs by name.

    Raises:
        ModelError: a function is missing, calls itself, directly or through others, is replaced
            by another one while the graph is rewritten, or there are too many calls.
    """
    calls = {name: Counter(_calls_of(nodes)) for name, nodes in bodies.items()}
    for name, function in functions.items():
        calls[name].update(called(function.attr))
        if "api_implements" in function.attr:
            raise ModelError(
                f"{saved}: function {quoted(name)} may take the place of another one",
                "export the model without experimental_implements",
            )
    for name, others in calls.items():
        if missing := set(others) - set(functions):
            raise ModelError(
                f"{saved}: function {quoted(name)} calls {quoted(min(missing))}, which is not "
                "in the model",
                "export the model again",
            )
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as fault:
        circle = " calls ".join(map(quoted, fault.args[1][:4]))
        raise ModelError(
            f"{saved}: a function calls itself, which may never end: {circle}",
            "export the model again without recursion",
        ) from None
    nodes, depth = dict[str, int](), dict[str, int]()
    for name in order:
        others = calls[name]
        nodes[name] = len(bodies[name]) + sum(
            nodes[other] * times for other, times in others.items()
        )
        depth[name] = 1 + max((depth[other] for other in others), default=0)
        if nodes[name] > MOST_NODES or depth[name] > MOST_DEPTH:
            raise ModelError(
                f"{saved}: function {quoted(name)} has {nodes[name]:,} nodes in calls "
                f"{depth[name]} deep, more than {MOST_NODES:,} or deeper than {MOST_DEPTH}",
                "export the model again with fewer calls",
            )


def _calls_of(nodes: Sequence[Message]) -> Iterator[str]:
    for node in nodes:
        yield from called(node.attr)
