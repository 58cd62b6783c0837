"""The operations of TensorFlow of which a model may be made, chosen by hand.

Each computes its outputs from its inputs, or reads a variable or a lookup of the model. None reads
or writes a file, opens a connection, calls Python, prints, draws at random, keeps something from
one request to the next, or repeats what it does until a condition holds. What an operation claims
to be, in the model or in TensorFlow's registry, plays no part.
"""

PATTERN = r"^[A-Za-z][A-Za-z0-9_.>]{0,99}$"
"""Of the name of an operation."""

_ARRAYS = """
BatchMatMulV2 BroadcastArgs BroadcastTo ConcatV2 Const DynamicPartition DynamicStitch
EnsureShape ExpandDims Fill GatherNd GatherV2 Identity IdentityN InvertPermutation ListDiff
LowerBound MatrixDiagV3 NoOp OneHot OnesLike Pack Pad PadV2 ParallelDynamicStitch Placeholder
PlaceholderWithDefault Range Rank Reshape ReverseSequence ReverseV2 Roll ScatterNd Select
SelectV2 Shape ShapeN Size Slice Split SplitV Squeeze StopGradient StridedSlice TensorScatterAdd
TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate Tile Transpose Unique
UniqueV2 UniqueWithCountsV2 Unpack UpperBound Where ZerosLike
"""
_MATHS = """
Abs Acos Add AddN AddV2 All Any ArgMax ArgMin Asin Atan Atan2 BatchMatMulV3 BiasAdd Bitcast
BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil ClipByValue Cos Cosh Cumprod Cumsum
DenseBincount DivNoNan Einsum Elu Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod
FusedBatchNormV3 Greater GreaterEqual IsFinite IsInf IsNan L2Loss LeakyRelu LeftShift Less
LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min
Minimum Mul MulNoNan Neg NotEqual Pow Prod RealDiv Reciprocal Relu Relu6 RightShift Rint Round
Rsqrt SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Selu Sigmoid Sign Sin Sinh
Softmax Softplus Softsign Sqrt Square SquaredDifference Sub Sum Tan Tanh TopKV2 TruncateDiv
TruncateMod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum Xdivy
Xlog1py Xlogy
"""
_STRINGS = """
AsString ReduceJoin RegexFullMatch RegexReplace ShardedFilename StaticRegexFullMatch
StaticRegexReplace StringFormat StringJoin StringLength StringLower StringSplitV2 StringStrip
StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Substr
UnsortedSegmentJoin
"""
_RAGGED_AND_SPARSE = """
RaggedGather RaggedRange RaggedTensorToTensor SparseConcat SparseFillEmptyRows SparseReorder
SparseReshape SparseSegmentMean SparseSegmentMeanWithNumSegments SparseSegmentSqrtN
SparseSegmentSqrtNWithNumSegments SparseSegmentSum SparseSegmentSumWithNumSegments SparseSlice
SparseTensorDenseMatMul SparseToDense
"""
_LISTS = """
EmptyTensorList TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
TensorListGetItem TensorListLength TensorListPushBack TensorListReserve TensorListSetItem
TensorListStack
"""
_CHECKS = """
Assert CheckNumerics CheckNumericsV2
"""
_VARIABLES_AND_LOOKUPS = """
DisableCopyOnRead HashTableV2 LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2
ReadVariableOp ResourceGather ResourceGatherNd VarHandleOp VarIsInitializedOp VariableShape
"""
_CALLS = """
Case For If PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf
"""
"""Of functions of the model. `For` repeats one a number of times that is known before the first."""

OPERATIONS = frozenset(
    f"{_ARRAYS} {_MATHS} {_STRINGS} {_RAGGED_AND_SPARSE} {_LISTS} {_CHECKS} "
    f"{_VARIABLES_AND_LOOKUPS} {_CALLS}".split()
)
"""What may stand anywhere in a model."""

SAVER_FILES = {"MergeV2Checkpoints": (0, 1), "RestoreV2": (0,), "SaveV2": (0,)}
"""What may stand in the saver only, and which of its inputs name files."""

SAVER_OPERATIONS = frozenset({*SAVER_FILES, "AssignVariableOp"})
"""The same, with what gives a variable its value."""
