#!/usr/bin/env python3
"""Whether others take our ONNX files: onnx.checker in full, strict shape inference, and ONNX Runtime's loader.

    tools/peers/onnx_check.py PATH...       files, and folders of .onnx files

Needs `pip install onnx onnxruntime`. Prints a line for each file that one of them refuses and what it says, and counts
those where it is they who lack something (LACKING); exit code 1 where there is any other. CI asks the same rules of the structure in C++: tests/testing/onnx_rules.h.
"""
import collections, os, sys

import onnx
import onnxruntime


# What ONNX Runtime's CPU provider does not have, though the specification does.
LACKING = {
    "NOT_IMPLEMENTED": "no kernel for the op and element type",
    "layout_ == 0 was false": "no recurrent nets with the batch first",
}


def refusals(path):
    model = onnx.load(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, check in (
            ("checker", lambda: onnx.checker.check_model(path, full_check=True)),
            ("strict inference", lambda: onnx.shape_inference.infer_shapes(
                model, check_type=True, strict_mode=True, data_prop=True)),
            ("onnxruntime", lambda: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))):
        try:
            check()
        except Exception as error:  # each of the three has several kinds
            yield name, " ".join(str(error).split())


def main():
    paths = []
    for given in sys.argv[1:]:
        paths += [given] if os.path.isfile(given) else [
            os.path.join(folder, file) for folder, _, files in os.walk(given) for file in files
            if file.endswith(".onnx")]
    refused, lacking = 0, collections.Counter()
    for path in sorted(paths):
        for name, why in refusals(path):
            lacked = next((reason for text, reason in LACKING.items() if name == "onnxruntime" and text in why), None)
            lacking[lacked] += lacked is not None
            refused += lacked is None
            print(f"{path}: {name}: {why[:400]}")
    for reason in filter(None, lacking):
        print(f"{lacking[reason]} lacking there: {reason}")
    print(f"{len(paths)} files, {refused} refusals")
    return 1 if refused or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
