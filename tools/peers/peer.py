#!/usr/bin/env python3
"""One peer, made ready for one model, then timed a round for each line on stdin (as `sluice bench --wait`).

usage: peer.py KIND MODEL INPUTS THREADS SECONDS [OUTPUTS]
KIND: onnxruntime, openvino, or torch:BUILDERS.py (whose MODELS[NAME]() gives the module; NAME is the model's folder).
INPUTS holds input_<i>.npy in the model's order; with OUTPUTS the first run's results are written there.
Prints one JSON line when ready and one a round.
"""
import glob, importlib.util, json, os, resource, sys, time

import numpy as np


def resident_mb():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) / 1024


def load_inputs(folder):
    return [np.load("%s/input_%d.npy" % (folder, i)) for i in range(len(glob.glob(folder + "/input_*.npy")))]


def onnxruntime_peer(model, threads):
    import onnxruntime as ort

    def create():
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        return lambda arrays: session.run(None, dict(zip(names, arrays)))
    return create


def openvino_peer(model, threads):
    import openvino as ov
    core = ov.Core()

    def create():
        compiled = core.compile_model(model, "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32"})
        request = compiled.create_infer_request()
        outputs = list(compiled.outputs)

        def run(arrays):
            result = request.infer(dict(enumerate(arrays)), share_inputs=True, share_outputs=True)
            return [result[o] for o in outputs]
        return run
    return create


def torch_peer(builders, model, threads):
    import torch
    torch.set_num_threads(threads)
    spec = importlib.util.spec_from_file_location("builders", builders)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    name = os.path.basename(os.path.dirname(model))

    def create():
        base = name.replace("_ts", "").replace("_raw", "")
        torch.manual_seed(module.seed_of(base))
        np.random.seed(module.seed_of(base))
        made = module.MODELS[name]()
        if made.net is None:
            raise SystemExit("no module")
        net = made.net.eval().requires_grad_(False)
        if made.randomise:
            module.randomise_constants(net)
        module.randomise_batch_norms(net, tuple(made.inputs(max(4, made.batch)).values()), made.calibrate)
        if made.half:
            net.half()

        def run(arrays):
            with torch.inference_mode():
                return [t.numpy() for t in module.flatten(net(*(torch.from_numpy(a) for a in arrays)))]
        return run
    return create


def main():
    kind, model, inputs, threads, seconds = sys.argv[1:6]
    threads, seconds = int(threads), float(seconds)
    arrays = load_inputs(inputs)
    if kind.startswith("torch:"):
        create = torch_peer(kind[6:], model, threads)
    else:
        create = {"onnxruntime": onnxruntime_peer, "openvino": openvino_peer}[kind](model, threads)
    before = resident_mb()
    start = time.perf_counter()
    run = create()
    ready = {"create_ms": (time.perf_counter() - start) * 1e3}
    start = time.perf_counter()
    results = run(arrays)
    ready["first_ms"] = (time.perf_counter() - start) * 1e3
    if len(sys.argv) > 6:
        for i, r in enumerate(results):
            np.save("%s/output_%d.npy" % (sys.argv[6], i), r)
    print(json.dumps(dict(ready, ready=True)), flush=True)
    for _ in sys.stdin:
        times, begin = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            run(arrays)
            times.append((time.perf_counter() - start) * 1e3)
        times.sort()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(dict(ready, p50_ms=times[len(times) // 2], p99_ms=times[min(len(times) - 1, int(.99 * len(times)))],
                              min_ms=times[0], n=len(times), rss_mb=peak, rss_before_mb=before)), flush=True)


if __name__ == "__main__":
    main()
