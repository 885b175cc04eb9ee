#!/usr/bin/env python3
"""Random graphs against ONNX Runtime: what all our forms agree on can still be wrong.

    bazel-bin/tests/random/random_graphs --onnx DIR --seed 1 --count 500
    tests/random/compare_onnxruntime.py DIR

Each folder below DIR holds model.onnx and test_data_set_*. Checks that onnx.checker takes the model in full, that ONNX
Runtime loads it, and that its results (unoptimised, so that its own rewrites do not count) are ours. Needs Python's
onnx, onnxruntime and numpy.
"""
import collections, glob, os, sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper


def tensors(folder, kind):
    found = []
    while os.path.exists("%s/%s_%d.pb" % (folder, kind, len(found))):
        proto = onnx.TensorProto()
        with open("%s/%s_%d.pb" % (folder, kind, len(found)), "rb") as file:
            proto.ParseFromString(file.read())
        found.append((proto.name, numpy_helper.to_array(proto)))
    return found


def difference(ours, theirs):
    """What kind of difference there is; empty: none."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return "extents: %s%s, theirs %s%s" % (ours.dtype, ours.shape, theirs.dtype, theirs.shape)
    if ours.dtype.kind not in "fV":
        return "" if np.array_equal(ours, theirs) else "integers"
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return "nan"
    seen = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[np.isinf(a)], b[np.isinf(a)]) or not np.array_equal(np.isinf(a), np.isinf(b)):
        return "infinite"
    if not seen.any():
        return ""
    tolerance = {"float16": 1e-2, "float64": 1e-8}.get(ours.dtype.name, 1e-3)
    return "numbers: %.3g apart" % np.abs(a - b)[seen].max() if np.abs(a - b)[seen].max() > tolerance * max(np.abs(b[seen]).max(), 1e-6) else ""


def main():
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    counts = collections.Counter()
    for folder in sorted(glob.glob(sys.argv[1] + "/*/"), key=lambda f: int(os.path.basename(f[:-1]))):
        seed, model = os.path.basename(folder[:-1]), folder + "model.onnx"
        if not os.path.exists(model) or not os.path.exists(folder + "test_data_set_0/output_0.pb"):
            continue
        counts["models"] += 1
        said = []
        try:
            onnx.checker.check_model(model, full_check=True)
        except Exception as error:
            said.append("checker: " + str(error).strip().splitlines()[0])
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            text = str(error).strip()
            kind = "not implemented" if "NOT_IMPLEMENTED" in text else "refused"
            counts[kind] += 1
            if kind == "refused":
                said.append("refused: " + text.splitlines()[0][:300])
            session = None
        for data in sorted(glob.glob(folder + "test_data_set_*")) if session else []:
            feeds = {name: value for name, value in tensors(data, "input") if name in {i.name for i in session.get_inputs()}}
            if any("bfloat16" in str(value.dtype) for value in feeds.values()):
                counts["fed bf16, which its Python cannot"] += 1
                break
            try:
                theirs = session.run(None, feeds)
            except Exception as error:
                counts["fails there"] += 1
                said.append("fails there: " + str(error).strip().splitlines()[0][:300])
                break
            ours = [value for _, value in tensors(data, "output")]
            differ = [(i, d) for i, (a, b) in enumerate(zip(ours, theirs)) if (d := difference(a, b))]
            counts["runs"] += 1
            said += ["%s output %d: %s" % (os.path.basename(data), i, d) for i, d in differ]
        for line in said:
            print("seed %s: %s" % (seed, line), flush=True)
        counts["with something to say"] += bool(said)
    print(", ".join("%d %s" % (n, what) for what, n in counts.items()))


if __name__ == "__main__":
    main()
