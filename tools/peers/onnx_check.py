#!/usr/bin/env python3
"""Whether others take our ONNX files: onnx.checker in full, strict shape inference, and ONNX Runtime's loader.

    tools/peers/onnx_check.py PATH...       files, and folders of .onnx files

Needs `pip install onnx onnxruntime`. Prints a line for each file that one of them refuses and what it says; exit code 1
where there is any. CI asks the same rules of the structure in C++: tests/testing/onnx_rules.h.
"""
import os, sys

import onnx
import onnxruntime


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
    refused = 0
    for path in sorted(paths):
        for name, why in refusals(path):
            refused += 1
            print(f"{path}: {name}: {why[:400]}")
    print(f"{len(paths)} files, {refused} refusals")
    return 1 if refused or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
