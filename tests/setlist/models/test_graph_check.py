"""What a SavedModel may not be: each fault in a model that is otherwise right."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cases import hostile_models as hostile
from tests.setlist.models.conftest import WINDOW
from tests.setlist.models.test_inverted_file import model as approximate_model
from tests.setlist.models.test_recommender import MODELS

from setlist.errors import ModelError
from setlist.models import operations, recommender
from setlist.models.contract import model_folders
from setlist.models.graph_check import check_graph
from setlist.models.inverted_file import InvertedFile
from setlist.models.saved_model import SavedModel
from setlist.models.tf import saved_model_pb2, tf

LOAD = """
import sys

import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
strings = tf.constant([["I1"]])
model.signatures["recommend"](history=strings, exclude=strings, k=tf.constant(3))
"""


def load_unchecked(folder: Path) -> subprocess.CompletedProcess:
    """Load and ask a model as somebody does who trusts it, in a process of its own."""
    command = [sys.executable, "-c", LOAD, str(folder / "saved_model")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def refused(folder: Path, *words: str, allowed: tuple[str, ...] = ()) -> None:
    """It cannot be loaded, and the sentence holds the words."""
    with pytest.raises(ModelError) as fault:
        SavedModel(folder, allowed)
    for word in words:
        assert word in str(fault.value)
    assert str(fault.value).isprintable()


# What has to pass.


def test_rules_and_a_two_tower_pass(models):
    assert len(model_folders(models)) > 5
    for folder in model_folders(models):
        check_graph(folder)


@pytest.mark.parametrize("block_scores", [2**24, 3 * 40 + 1])
@pytest.mark.parametrize("make", MODELS)
def test_all_kinds_pass_of_small_and_of_large_catalogues(make, block_scores, tmp_path, monkeypatch):
    monkeypatch.setattr(recommender, "BLOCK_SCORES", block_scores)
    make(40).export(tmp_path, "model", WINDOW)
    check_graph(tmp_path)


def test_approximate_lists_pass(tmp_path):
    made = approximate_model(np.random.default_rng(1).normal(size=(400, 16)).astype(np.float32))
    vectors = made.vectors.numpy()
    made.inverted_file = InvertedFile.of(vectors, np.ones((1, vectors.shape[1]), np.float32))
    made.export(tmp_path, "two_tower", WINDOW)
    check_graph(tmp_path)


@pytest.mark.parametrize(
    "write",
    [
        hostile.write_harmless,
        hostile.write_works_on,
        lambda folder: hostile.write_allocates(folder, 1),
        lambda folder: hostile.write_slow(folder, 1),
    ],
)
def test_what_only_costs_or_lies_passes(write, tmp_path):
    check_graph(write(tmp_path))


def test_of_what_keeps_a_state_only_variables_and_lookups_of_constants_are_in_the_list():
    """By TensorFlow's own registry, which also knows an operation that is misspelt here."""
    from tensorflow.python.framework import op_def_registry

    stateful = {name for name in operations.OPERATIONS if op_def_registry.get(name).is_stateful}
    calls_and_checks = {"Assert", "Case", "CheckNumerics", "CheckNumericsV2", "If"}
    assert stateful - calls_and_checks == {
        "DisableCopyOnRead",
        "HashTableV2",
        "LookupTableFindV2",
        "LookupTableImportV2",
        "LookupTableSizeV2",
        "ReadVariableOp",
        "ResourceGather",
        "ResourceGatherNd",
        "StatefulPartitionedCall",
        "VarHandleOp",
        "VarIsInitializedOp",
        "VariableShape",
    }


def test_a_network_of_keras_passes(tmp_path):
    """As others build their towers; not its recurrent layers, which are loops."""
    keras = tf.keras
    ids = keras.Input((None,), dtype=tf.int32)
    vectors = keras.layers.Embedding(20, 8)(ids)
    attended = keras.layers.MultiHeadAttention(2, 4)(vectors, vectors)
    mean = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(attended))
    model = tf.Module()
    model.network = keras.Model(ids, keras.layers.Dense(20, "gelu")(mean))
    signature = tf.function(
        lambda history: {"scores": model.network(history, training=False)},
        input_signature=[tf.TensorSpec([None, None], tf.int32, name="history")],
    )
    tf.saved_model.save(model, str(tmp_path / "saved_model"), signatures=signature)
    check_graph(tmp_path)


# Operations.


def stealing(folder: Path) -> Path:
    secret = folder.parent / "secret"
    secret.write_text("s3cret")
    return hostile.write_reads_secret(folder, secret, folder.parent / "stolen")


def writing(folder: Path) -> Path:
    def deed(history: tf.Tensor) -> tf.Tensor:
        tf.io.write_file(str(folder.parent / "stolen"), history[0, 0])
        return tf.constant(0.0)

    return hostile.write(folder, deed)


def saving(folder: Path) -> Path:
    """A file of the attacker's choice, written by the operation of the saver."""

    def deed(history: tf.Tensor) -> tf.Tensor:
        path = str(folder.parent / "stolen")
        save = tf.raw_ops.SaveV2(
            prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=[history]
        )
        with tf.control_dependencies([save]):
            return tf.constant(0.0)

    return hostile.write(folder, deed)


def restoring(folder: Path) -> Path:
    """A file of the attacker's choice, read by the operation of the saver."""

    def deed(history: tf.Tensor) -> tf.Tensor:
        path = tf.strings.join(["/elsewhere/", history[0, 0]])
        read = tf.raw_ops.RestoreV2(
            prefix=path, tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
        )
        return tf.reduce_sum(read[0])

    return hostile.write(folder, deed)


def calling_python(function: Callable[..., tf.Tensor]) -> Callable[[Path], Path]:
    return lambda folder: hostile.write(
        folder, lambda history: function(lambda _: np.float32(0), [history], tf.float32)
    )


def drawing(folder: Path) -> Path:
    return hostile.write(folder, lambda _: tf.random.uniform([]))


def counting_requests(folder: Path) -> Path:
    """What one listener sends is kept, and could be told to the next."""
    seen = tf.Variable(0.0)

    class Keeping(hostile.Hostile):
        def __init__(self) -> None:
            super().__init__(lambda _: seen.assign_add(1.0))
            self.seen = seen

    Keeping().export(folder, "hostile", WINDOW)
    return folder


def reading_a_data_set(folder: Path) -> Path:
    def deed(_: tf.Tensor) -> tf.Tensor:
        lines = tf.data.TextLineDataset("/elsewhere")
        return tf.cast(lines.reduce(np.int64(0), lambda count, _: count + 1), tf.float32)

    return hostile.write(folder, deed)


class FromFile(hostile.Hostile):
    """A lookup that its initializer fills from a file."""

    def __init__(self, path: Path) -> None:
        whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        path.write_text("a\nb\n")
        source = tf.lookup.TextFileInitializer(str(path), tf.string, whole, tf.int64, line)
        self.table = tf.lookup.StaticHashTable(source, -1)
        super().__init__(lambda history: tf.cast(self.table.lookup(history)[0, 0], tf.float32))


def filling_from_a_file(folder: Path) -> Path:
    FromFile(folder.parent / "lines").export(folder, "hostile", WINDOW)
    return folder


class Resource(tf.saved_model.experimental.TrackableResource):
    """`_initialize` runs when the model is loaded, before it is asked anything."""

    def __init__(self, target: Path) -> None:
        super().__init__()
        self.target = str(target)

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

    def _initialize(self) -> None:
        tf.io.write_file(self.target, "s3cret")


def writing_when_loaded(folder: Path) -> Path:
    model = hostile.Hostile(lambda _: tf.constant(0.0))
    model.resource = Resource(folder.parent / "stolen")
    model.resource.resource_handle  # noqa: B018 - makes it
    model.export(folder, "hostile", WINDOW)
    return folder


def hiding(folder: Path) -> Path:
    """In a function that no signature leads to: only the objects of the model name it."""
    model = hostile.Hostile(lambda _: tf.constant(0.0))
    signature = [tf.TensorSpec([], tf.string)]
    model.hidden = tf.function(lambda path: tf.io.read_file(path), input_signature=signature)
    model.export(folder, "hostile", WINDOW)
    return folder


OPERATIONS = {
    stealing: "'ReadFile'",
    writing: "'WriteFile'",
    writing_when_loaded: "'WriteFile'",
    saving: "'SaveV2'",
    restoring: "'RestoreV2'",
    lambda folder: hostile.write_prints(folder, "hullo"): "'PrintV2'",
    calling_python(tf.numpy_function): "'PyFunc'",
    calling_python(tf.py_function): "'EagerPyFunc'",
    hostile.write_hangs_always: "While'",
    hostile.write_hangs_on: "While'",
    hostile.write_dies_on: "'Abort'",
    drawing: "'RandomUniform'",
    counting_requests: "'AssignAddVariableOp'",
    reading_a_data_set: "Dataset",
    filling_from_a_file: "'InitializeTableFromTextFileV2'",
    hiding: "'ReadFile'",
}


@pytest.mark.parametrize(("write", "operation"), OPERATIONS.items())
def test_an_operation_outside_the_list_is_refused_wherever_it_stands(write, operation, tmp_path):
    folder = write(tmp_path / "model")
    refused(folder, operation, "node '", "function '", "export it again", "policy.operations: [")
    assert not list(tmp_path.glob("stolen*"))


@pytest.mark.parametrize("write", [stealing, writing, saving, writing_when_loaded])
def test_without_the_check_it_would_have_been_done(write, tmp_path):
    folder = write(tmp_path / "model")
    done = load_unchecked(folder)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("stolen*"))


def test_what_the_caller_allows_passes_and_nothing_else(tmp_path):
    folder = stealing(tmp_path / "model")
    refused(folder, "'WriteFile'", allowed=("ReadFile",))
    SavedModel(folder, ("ReadFile", "WriteFile")).recommend([["I1"]], [[]], 3)
    assert (tmp_path / "stolen").read_text() == "s3cret"


def test_a_loop_that_is_allowed_passes(tmp_path):
    model = SavedModel(hostile.write_hangs_on(tmp_path), ("While", "StatelessWhile"))
    assert model.recommend([["I1"]], [[]], 3)[0].shape == (1, 3)


# The saver.


@pytest.fixture(scope="module")
def harmless(tmp_path_factory) -> Path:
    return hostile.write_harmless(tmp_path_factory.mktemp("harmless"))


@pytest.fixture
def model(harmless, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(harmless, tmp_path / "model")


@contextmanager
def edited(folder: Path) -> Iterator[Any]:
    """The graph of a model, to be changed."""
    path = folder / "saved_model" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    yield saved.meta_graphs[0]
    path.write_bytes(saved.SerializeToString())


def function_of(meta: Any, part: str) -> Any:
    """The first function of which the name holds that part."""
    return next(one for one in meta.graph_def.library.function if part in one.signature.name)


def node_of(meta: Any, name: str) -> Any:
    """A node of the main graph."""
    return next(node for node in meta.graph_def.node if node.name == name)


def saver_node(meta: Any) -> Any:
    return node_of(meta, meta.saver_def.save_tensor_name.partition(":")[0])


def a_signature_leads_to_it(meta):
    node = saver_node(meta)
    meta.signature_def["recommend"].outputs["scores"].name = f"{node.name}:0"


def the_initializer_leads_to_it(meta):
    node_of(meta, "NoOp").input.append(f"^{saver_node(meta).name}")


def a_collection_leads_to_it(meta):
    meta.collection_def["legacy_init_op"].node_list.value.append(saver_node(meta).name)


def another_node_calls_it(meta):
    meta.graph_def.node.add().CopyFrom(saver_node(meta))
    meta.graph_def.node[-1].name = "another"


def another_function_calls_it(meta):
    node = function_of(meta, "recommend").node_def.add(name="another", op="PartitionedCall")
    node.attr["f"].func.name = function_of(meta, "traced_save").signature.name


def an_object_names_it(meta):
    name = function_of(meta, "traced_save").signature.name
    meta.object_graph_def.concrete_functions[name].SetInParent()


def it_is_given_another_file(meta):
    meta.graph_def.node.add(name="elsewhere", op="Const")
    saver_node(meta).input[0] = "elsewhere"


def its_file_name_is_a_constant(meta):
    node_of(meta, meta.saver_def.filename_tensor_name.partition(":")[0]).op = "Const"


def saved(meta: Any, name: str) -> Any:
    """A node of the function that saves."""
    nodes = function_of(meta, "traced_save").node_def
    return next(node for node in nodes if node.op == name)


def it_writes_elsewhere(meta):
    saved(meta, "SaveV2").input[0] = "Const:output:0"


def it_joins_a_way_out(meta):
    saved(meta, "Const").attr["value"].tensor.string_val[0] = b"/../../elsewhere"


def it_joins_the_name_to_a_constant(meta):
    joined = saved(meta, "StringJoin").input
    joined[0], joined[1] = joined[1], joined[0]


def it_reads_elsewhere(meta):
    function = function_of(meta, "traced_restore")
    restore = next(node for node in function.node_def if node.op == "RestoreV2")
    restore.input[0] = "RestoreV2/tensor_names:output:0"


def it_merges_into_elsewhere(meta):
    saved(meta, "MergeV2Checkpoints").input[1] = "Const:output:0"


def it_goes_in_circles(meta):
    saved(meta, "StringJoin").input[0] = "ShardedFilename:filename:0"


SAVERS = (
    a_signature_leads_to_it,
    the_initializer_leads_to_it,
    a_collection_leads_to_it,
    another_node_calls_it,
    another_function_calls_it,
    an_object_names_it,
    it_is_given_another_file,
    its_file_name_is_a_constant,
    it_writes_elsewhere,
    it_joins_a_way_out,
    it_joins_the_name_to_a_constant,
    it_reads_elsewhere,
    it_merges_into_elsewhere,
    it_goes_in_circles,
)


@pytest.mark.parametrize("spoil", SAVERS)
def test_nothing_leads_to_the_saver_and_it_leads_nowhere_else(spoil, model):
    with edited(model) as meta:
        spoil(meta)
    refused(model, "which only the saver of a model may have", "file names made of its argument")


# Calls.


def call(function: Any, callee: str, name: str = "more") -> None:
    node = function.node_def.add(name=name, op="StatefulPartitionedCall")
    node.attr["f"].func.name = callee


def a_function_that_calls_itself(meta):
    function = function_of(meta, "inference_recommend")
    call(function, function.signature.name)


def functions_that_call_each_other(meta):
    recommend, default = (function_of(meta, f"inference_{name}") for name in CALLED)
    call(recommend, default.signature.name)
    call(default, recommend.signature.name)


CALLED = ("recommend", "serving_default")


def a_circle_through_a_branch(meta):
    function = function_of(meta, "inference_recommend")
    branch = next(node for node in function.node_def if node.op in {"If", "StatelessIf"})
    branch.attr["then_branch"].func.name = function.signature.name


def a_circle_through_a_list(meta):
    function = function_of(meta, "inference_recommend")
    node = function.node_def.add(name="more", op="Case")
    node.attr["branches"].list.func.add(name=function.signature.name)


def a_function_that_is_missing(meta):
    call(function_of(meta, "inference_recommend"), "elsewhere")


def a_function_of_another_name_in_its_place(meta):
    function_of(meta, "inference_recommend").attr["api_implements"].s = b"other"


def two_functions_of_one_name(meta):
    meta.graph_def.library.function.add().CopyFrom(function_of(meta, "inference_recommend"))


def a_function_without_a_name(meta):
    """It would stand in the place of the main graph."""
    meta.graph_def.library.function.add()


def a_function_with_the_name_of_an_operation(meta):
    meta.graph_def.library.function.add().signature.name = "Identity"


def functions_in_a_long_row(meta):
    for number in range(70):
        function = meta.graph_def.library.function.add()
        function.signature.name = f"f{number}"
        if number:
            call(function, f"f{number - 1}")


def functions_that_double(meta):
    """Thirty functions that are a thousand million when they are expanded."""
    for number in range(30):
        function = meta.graph_def.library.function.add()
        function.signature.name = f"f{number}"
        for name in "ab" if number else "":
            call(function, f"f{number - 1}", name)


def an_operation_that_nobody_knows(meta):
    function_of(meta, "inference_recommend").node_def.add(name="more", op="StealEverything")


def an_operation_that_is_no_name(meta):
    meta.graph_def.node.add(name="\x1b[2J\nfine", op="\x1b]0;fine\x07\r\n\u202e")


def a_constant_of_any_size(meta):
    node = meta.graph_def.node.add(name="more", op="Const")
    tensor = node.attr["value"].tensor
    tensor.dtype = tf.float32.as_datatype_enum
    tensor.float_val.append(1)
    for size in (2**20, 2**20):
        tensor.tensor_shape.dim.add(size=size)


def an_asset_above(meta):
    meta.asset_file_def.add(filename="../../elsewhere")


def an_asset_at_the_root(meta):
    meta.asset_file_def.add(filename="/elsewhere")


def an_object_of_a_registered_class(meta):
    meta.object_graph_def.nodes[0].registered_name = "Custom>Evil"


def an_object_with_a_registered_saver(meta):
    meta.object_graph_def.nodes[0].registered_saver = "Custom>Evil"


def without_objects(meta):
    """Loaded as one of TensorFlow 1, by the main graph."""
    meta.ClearField("object_graph_def")


GRAPHS = {
    a_function_that_calls_itself: "a function calls itself",
    functions_that_call_each_other: "a function calls itself",
    a_circle_through_a_branch: "a function calls itself",
    a_circle_through_a_list: "a function calls itself",
    a_function_that_is_missing: "calls 'elsewhere', which is not in the model",
    a_function_of_another_name_in_its_place: "may take the place of another one",
    two_functions_of_one_name: "has no name of its own",
    a_function_without_a_name: "has no name of its own",
    a_function_with_the_name_of_an_operation: "has no name of its own",
    functions_in_a_long_row: "deeper than",
    functions_that_double: "nodes in calls",
    an_operation_that_nobody_knows: "the operation 'StealEverything'",
    an_operation_that_is_no_name: "which is none",
    a_constant_of_any_size: "node 'more' of the main graph brings the constants to 1,099,511,",
    an_asset_above: "the asset '../../elsewhere', which leaves its folder",
    an_asset_at_the_root: "the asset '/elsewhere', which leaves its folder",
    an_object_of_a_registered_class: "Python code by the name 'Custom>Evil'",
    an_object_with_a_registered_saver: "Python code by the name",
    without_objects: "TensorFlow 1",
}


@pytest.mark.parametrize(("spoil", "words"), GRAPHS.items())
def test_a_graph_that_is_no_plain_program_is_refused(spoil, words, model):
    with edited(model) as meta:
        spoil(meta)
    refused(model, words)


def test_a_second_graph_is_refused(model):
    path = model / "saved_model" / "saved_model.pb"
    path.write_bytes(2 * path.read_bytes())  # messages one after the other are one message
    refused(model, "holds 2 graphs")


@pytest.mark.parametrize("content", [b"", b"\xffno message"])
def test_what_is_no_graph_is_refused(model, content):
    (model / "saved_model" / "saved_model.pb").write_bytes(content)
    refused(model, "saved_model.pb")


# Files.


@pytest.mark.parametrize(
    "name",
    [
        "saved_model.pbtxt",
        "saved_model.cpb",
        "keras_metadata.pb",
        "debug/saved_model_debug_info.pb",
        "assets.extra/tf_serving_warmup_requests",
        "variables/checkpoint",
    ],
)
def test_a_file_beside_is_refused(model, name):
    path = model / "saved_model" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    refused(model, name, "leave it out")


@pytest.mark.parametrize("name", ["variables/variables.index", "saved_model.pb", "variables"])
def test_a_link_is_refused(model, name):
    path = model / "saved_model" / name
    path.rename(model.parent / "elsewhere")
    path.symlink_to(model.parent / "elsewhere")
    refused(model, "is a link")


def test_a_pipe_is_refused_and_not_read(model):
    (model / "saved_model" / "fingerprint.pb").unlink(missing_ok=True)
    os.mkfifo(model / "saved_model" / "fingerprint.pb")
    refused(model, "leave it out")
