"""What ONNX Runtime and onnx.checker do otherwise, decided by the ONNX specification: why we stay as we are.

A rule excuses one kind of difference of one op, under the condition that explains it. "reference" in a reason: the
reference implementation of the onnx package gives our result.
"""
import dataclasses

import numpy as np
import onnx


@dataclasses.dataclass
class Difference:
    kind: str  # checker, loader, refused, fails there, differs
    nodes: list  # of the region; the last one makes the value
    values: dict  # ours by name
    ours: dict  # what the region makes
    theirs: dict
    what: str  # the message, or in what they differ
    reference: str  # whose results are those of onnx.reference: ours, theirs, neither

    @property
    def op(self):
        """All of the region's, the last one first."""
        if self.kind in ("checker", "loader"):
            return self.kind
        return " of ".join(dict.fromkeys(node.op_type for node in reversed(self.nodes)))

    def has(self, *ops):
        return any(node.op_type in ops for node in self.inner())

    def inner(self, nodes=None):
        """The region's nodes, and those of their bodies."""
        for node in self.nodes if nodes is None else nodes:
            yield node
            for attribute in node.attribute:
                yield from self.inner(attribute.g.node)

    def read(self):
        return [self.values[name] for node in self.inner() for name in node.input if name in self.values]

    def floats(self):
        """All numbers that the region reads and makes."""
        every = [v.astype(np.float64).ravel() for v in [*self.read(), *self.ours.values()] if v.dtype.kind == "f"]
        return np.concatenate(every) if every else np.zeros(0)

    def special(self):
        return not np.isfinite(self.floats()).all()

    def large(self):
        """Products or sums leave the range of the type."""
        numbers = np.abs(self.floats())
        narrow = any(v.dtype == np.float16 for v in self.read())
        return (numbers[np.isfinite(numbers)] > (100 if narrow else 1e12)).any()

    def empty(self):
        return any(v.size == 0 for v in [*self.read(), *self.ours.values()])

    def of(self, *dtypes):
        return any(v.dtype.name in dtypes for v in [*self.read(), *self.ours.values()])

    def apart(self):
        """The largest distance of numbers."""
        return max(np.abs(v.astype(np.float64) - np.asarray(self.theirs[name]).astype(np.float64)).max(initial=0)
                   for name, v in self.ours.items())

    def attribute(self, name):
        found = [a for node in self.nodes for a in node.attribute if a.name == name]
        return onnx.helper.get_attribute_value(found[0]) if found else None

    def __str__(self):
        return "%s: %s: %s (reference: %s)" % (self.op, self.kind, self.what, self.reference)


def says(text, reason, *ops):
    return lambda d: reason if d.kind in ("refused", "fails there", "loader") and text in d.what and (not ops or d.has(*ops)) else ""


def when(kind, condition, reason, *ops):
    return lambda d: reason if d.kind == kind and (not ops or d.has(*ops)) and condition(d) else ""


def differs(condition, reason, *ops):
    return when("differs", condition, reason, *ops)


PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "Attention", "LSTM", "GRU", "RNN", "QLinearConv")
NORMS = ("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization",
         "MeanVarianceNormalization", "RMSNormalization", "LRN")

RULES = [
    # What ONNX Runtime refuses.
    says("Dilation not supported for AutoPadType", "takes no dilations beside auto_pad SAME", "Conv", "QLinearConv", "ConvInteger"),
    says("X_shape.NumDimensions() == 4", "takes rank 4 alone; the specification says N x C x D1 ... Dn", "LRN"),
    says("by zero", "refuses integer division by zero; ours has a value", "Div", "Mod"),
    says("does not support double yet", "has no f64", "LSTM", "GRU", "RNN"),
    says("'Cubic' mode only supports", "resizes by cubic the two inner axes of rank 2 and 4 alone", "Resize"),
    says("padding values must be non-negative", "refuses SAME where windows leave gaps, and pads would be negative", "MaxPool", "AveragePool", "LpPool"),
    says("Computed output dimension is <= 0", "makes no empty results", "ConvTranspose"),
    says("the process ends", "ends the process: bidirectional, on one thread", "LSTM", "GRU"),
    says("Updating cos_cache and sin_cache", "takes no caches that differ from batch to batch", "RotaryEmbedding"),
    says("Size of X.shape[axis:] must be at least", "normalises no single elements", "LayerNormalization", "RMSNormalization"),
    says("Q sequence length must be greater than 0", "takes no empty sequence", "Attention"),
    says("ComputeOutputShapeForAttention", "does not broadcast the mask's last extent; the specification says broadcastable", "Attention"),
    when("fails there", lambda d: d.empty() and "Reshape" in d.what, "takes no empty input: its function reshapes to [0, -1]", "GroupNormalization"),
    when("fails there", lambda d: d.empty(), "finds no -1 of an empty tensor; ours is what the copied extents leave", "Reshape"),
    when("fails there", lambda d: True, "computes in a body what nobody needs, which fails", "Loop", "Scan", "If"),
    says("Graph attribute inferencing failed", "infers types of a branch that is never taken and fits no extents", "If", "Loop", "Scan"),
    says("out_size >= 0", "forgets SAME beside dilations", "AveragePool", "MaxPool", "LpPool"),
    says("not supported with ScatterND", "has no f16 reductions", "ScatterND"),
    says("is not defined for empty set", "has no extreme of no truth values; ours is the type's lowest or highest", "ReduceMax", "ReduceMin"),
    # Of whole models.
    when("checker", lambda d: "Field 'shape' of 'type' is required" in d.what, "wants a rank of each output; that of an If whose branches differ only the data knows", "If"),
    when("checker", lambda d: "Product cannot be 0 in combination with -1" in d.what, "finds no -1 of an empty tensor", "Reshape"),
    when("refused", lambda d: "Product cannot be 0 in combination with -1" in d.what, "finds no -1 of an empty tensor", "Reshape"),
    when("refused", lambda d: "Invalid position of 0" in d.what, "takes no empty input: its function reshapes to [0, -1]", "GroupNormalization"),
    when("loader", lambda d: "Product cannot be 0 in combination with -1" in d.what, "finds no -1 of an empty tensor", "Reshape"),
    when("loader", lambda d: "Invalid position of 0" in d.what, "takes no empty input: its function reshapes to [0, -1]", "GroupNormalization"),
    says("'Cubic' mode only supports", "resizes by cubic the two inner axes of rank 2 and 4 alone"),
    # NaN and infinities.
    differs(lambda d: d.special(), "does not see a NaN; ours is the first NaN's place, or NaN (numpy, reference)",
            "ArgMax", "ArgMin", "ReduceMax", "ReduceMin", "Hardmax", "TopK", "ScatterElements", "ScatterND", "ReduceLogSumExp"),
    differs(lambda d: d.special(), "0 for NaN; ours is NaN (numpy, reference)", "Sign"),
    differs(lambda d: d.special(), "passes over a NaN in a window; ours is NaN as Max's, and PyTorch's", "MaxPool", "GlobalMaxPool"),
    differs(lambda d: d.special(), "0 for NaN, where the specification has no number; ours is the zero point, which means 0", "QuantizeLinear"),
    differs(lambda d: d.has("QuantizeLinear") and d.has("Sqrt", "Log", "Div", "Pow", "Acos", "Asin", "Atanh", "Acosh"), "0 for NaN, made in a body; ours is the zero point, which means 0", "If", "Loop", "Scan"),
    differs(lambda d: d.special(), "keeps a running sum, in which an infinity becomes NaN; the reference does as ours or takes rank 4 alone", "LRN"),
    differs(lambda d: d.special(), "loses a NaN of the first state in a bound (reference: ours)", "LSTM", "GRU", "RNN"),
    differs(lambda d: d.special(), "multiplies scale and shift out before it applies them (reference: ours)", *NORMS),
    differs(lambda d: d.special(), "adds the mask to scores; ours never computes what the mask hides, be it NaN", "Attention", "Softmax"),
    differs(lambda d: d.empty(), "0 for the mean of nothing; ours is NaN (numpy, reference)", "ReduceMean"),
    differs(lambda d: d.what == "nan" and d.has("ReduceMean"), "0 for the mean of nothing in its body; ours is NaN (numpy, reference)", "Loop", "Scan"),
    differs(lambda d: d.what.startswith("extents") and d.empty(), "knows no extents of a scan output of no trips; ours are the body's", "Loop"),
    differs(lambda d: d.special(), "an axis that keeps its extent mixes neighbours with weight 0 in, NaN from a NaN (reference: ours)", "Resize"),
    differs(lambda d: d.special(), "bounds an infinity by the largest number where there is no bound (reference, and the function: ours)", "Clip"),
    differs(lambda d: d.what == "nan", "0 for the mean of a window in the padding alone; ours is NaN (reference: ours)", "AveragePool"),
    differs(lambda d: d.empty(), "leaves the last state of no steps unset; ours is the first state", "LSTM", "GRU", "RNN"),
    # Numbers.
    differs(lambda d: d.what == "integers", "casts NaN and infinities, or sums in integers; ours computes in f64 and saturates", "ReduceLogSum", "ReduceLogSumExp"),
    differs(lambda d: d.what == "integers" and d.apart() <= 1, "subtracts the bias as a fraction; the specification's function casts it to the integer first", "Shrink"),
    differs(lambda d: d.what.startswith("extents"), "forgets dilations beside auto_pad SAME (reference: ours)", "AveragePool", "MaxPool", "LpPool"),
    differs(lambda d: d.has("Conv", "ConvTranspose", "MatMul", "Gemm") and d.apart() <= 1, "a sum rounded in another order, between two steps", "QuantizeLinear"),
    differs(lambda d: d.of("float64"), "stage one in f32, as stash_type says; ours in f64, which is closer", "GroupNormalization", "LayerNormalization", "RMSNormalization"),
    differs(lambda d: d.of("float64"), "holds its constants and scale in f32; ours in f64", "Attention", "Gelu", "Shrink", "Elu", "Celu", "Selu", "Swish"),
    differs(lambda d: d.of("int64", "uint64", "int32", "uint32"), "divides a sum in f64, which has not all digits; ours in integers", "ReduceMean"),
    differs(lambda d: d.attribute("antialias") == 1, "antialias by coordinates of its own (reference: ours)", "Resize"),
    differs(lambda d: d.attribute("coordinate_transformation_mode") == b"align_corners", "a position that is whole lies a rounding below in f32 (reference: ours)", "Resize"),
    differs(lambda d: d.large(), "sums overflow or cancel in another order", *PRODUCTS, *NORMS, "AveragePool", "GlobalAveragePool", "ReduceProd", "ReduceMean", "ReduceSum", "ReduceL2", "ReduceSumSquare"),
    differs(lambda d: d.what.startswith("numbers") and d.apart() <= 1e-6 * np.abs(d.floats()).max(initial=0), "a sum that cancels is off by its terms' rounding",
            *PRODUCTS, "ReduceMean", "ReduceSum"),
    differs(lambda d: d.reference == "ours", "subtracts the square of the mean from the mean square, which cancels (reference: ours)", "MeanVarianceNormalization"),
    differs(lambda d: d.reference == "ours", "a mean of equal numbers is a rounding off, and the variance of them small", "InstanceNormalization"),
    differs(lambda d: d.apart() < 1e-6, "e^x - 1 cancels; ours is expm1", "Celu", "Elu", "Selu"),
]


def reason_for(difference):
    return next((reason for rule in RULES if (reason := rule(difference))), "")
