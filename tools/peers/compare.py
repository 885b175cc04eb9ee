#!/usr/bin/env python3
"""Sluice beside ONNX Runtime, OpenVINO and PyTorch on a folder of models: one table, ratios with intervals, JSON.

FOLDER holds NAME/model.onnx with input_<i>.npy. For each model, batch and number of threads all systems are made
ready in processes of their own, then timed in turn, round by round, pinned to the same cores; while one runs, the
others sleep. OpenVINO computes f32 models in f32 (precision and latency hints set). PyTorch runs eager where
--builders, a Python file with MODELS[NAME](), can build the module.

Columns: the largest difference of our results from ONNX Runtime's, over the largest value; creation plus first run
(the median of --starts fresh processes in turn, the file in the page cache; PyTorch once), p50 and p99 in ms; peak
memory above the start in MB; ratio = a peer's p50 over ours (over 1: we are faster), for the best peer with its 95 %
interval over the rounds (t distribution on the logarithms). Below: geometric means.
"""
import argparse, glob, json, math, os, re, shutil, statistics, subprocess, sys, tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
T95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23}  # by degrees of freedom


class System:
    """A process that is ready for one model and times a round on request."""

    def __init__(self, name, command, threads):
        cores = sorted(os.sched_getaffinity(0))[:threads]
        self.name, self.rounds = name, []
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(["taskset", "-c", ",".join(map(str, cores))] + command, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.ready = self.read()
        self.starts = [self.ready["create_ms"] + self.ready["first_ms"]]

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().strip()
        raise RuntimeError(text.splitlines()[-1] if text else "ended without a word")

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.rounds.append(self.read())

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def middle(self, key):
        return statistics.median(r[key] for r in self.rounds)

    def start(self):
        return statistics.median(self.starts)

    def memory(self):
        return max(r["rss_mb"] for r in self.rounds) - self.rounds[0]["rss_before_mb"]


def ratio(peer, ours):
    """Median-free: the geometric mean over rounds of peer/ours, with its 95 % interval."""
    logs = [math.log(p["p50_ms"] / o["p50_ms"]) for p, o in zip(peer.rounds, ours.rounds)]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), math.nan, math.nan
    half = T95.get(len(logs) - 1, 1.96) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def repeated_inputs(model, batch, target):
    """The model's inputs repeated along the first dimension; False where an input has no such dimension of 1."""
    folder = os.path.dirname(model)
    stored = os.path.join(folder, "b%d" % batch)
    if batch > 1 and os.path.exists(stored + "/input_0.npy"):
        for path in glob.glob(stored + "/input_*.npy"):
            shutil.copy(path, target)
        return True
    for path in sorted(glob.glob(folder + "/input_*.npy")):
        array = np.load(path)
        if batch > 1:
            if array.ndim == 0 or array.shape[0] != 1:
                return False
            array = np.repeat(array, batch, axis=0)
        np.save(os.path.join(target, os.path.basename(path)), array)
    return True


def difference(sluice, model, data):
    done = subprocess.run([sluice, "check", model, "--data", data, "--rtol", "1e9"], capture_output=True, text=True)
    found = [float(x) for x in re.findall(r"relative ([0-9.e+-]+|inf|nan)", done.stdout)]
    return max(found) if found else math.nan


def compare(args, model, batch, threads):
    name = os.path.basename(os.path.dirname(model))
    systems, notes = [], []
    with tempfile.TemporaryDirectory() as data:
        if not repeated_inputs(model, batch, data):
            return None
        commands = [("sluice", [args.sluice, "bench", model, "--inputs", data, "--threads", str(threads), "--seconds",
                                str(args.seconds), "--wait", *args.sluice_options.split()])]
        for peer in args.peers:
            kind = "torch:" + args.builders if peer == "torch" else peer
            outputs = [data] if peer == "onnxruntime" else []
            commands.append((peer, [sys.executable, os.path.join(HERE, "peer.py"), kind, model, data, str(threads),
                                    str(args.seconds)] + outputs))
        for path in glob.glob(os.path.join(os.path.dirname(model), "*.onnx*")):
            with open(path, "rb") as file:                    # into the page cache
                while file.read(1 << 24):
                    pass
        try:
            for label, command in commands:
                try:
                    systems.append(System(label, command, threads))
                except RuntimeError as error:
                    if label == "sluice":
                        print("%-22s b%d %dt: sluice: %s" % (name, batch, threads, error), flush=True)
                        return {"model": name, "batch": batch, "threads": threads, "error": str(error)}
                    notes.append("%s: %s" % (label, str(error)[:60]))
            for _ in range(args.starts - 1):
                for s in systems:
                    if s.name == "torch":
                        continue
                    again = System(s.name, dict(commands)[s.name], threads)
                    again.close()
                    s.starts += again.starts
            for r in range(args.rounds):                      # a rotating order: no one always runs first
                for i in range(len(systems)):
                    systems[(i + r) % len(systems)].round()
        finally:
            for s in systems:
                s.close()
        differs = difference(args.sluice, model, data) if any(s.name == "onnxruntime" for s in systems) else math.nan
    ours, peers = systems[0], systems[1:]
    row = {"model": name, "batch": batch, "threads": threads, "difference": differs, "notes": notes,
           "systems": {s.name: dict(start_ms=s.start(), create_ms=s.ready["create_ms"], first_ms=s.ready["first_ms"], p50_ms=s.middle("p50_ms"),
                                    p99_ms=s.middle("p99_ms"), memory_mb=s.memory(), rounds=s.rounds) for s in systems},
           "ratios": {s.name: ratio(s, ours) for s in peers}}
    best = min(peers, key=lambda s: s.middle("p50_ms"), default=None)
    row["best"] = best.name if best else None
    for s in systems:
        tail = ""
        if s is not ours:
            mean, low, high = row["ratios"][s.name]
            tail = "%6.2f" % mean
            if s is best:
                tail += " [%.2f, %.2f] best%s" % (low, high, "  LOSS" if high < 0.95 else "")
        head = "%-20s %2d %2d %8.1e" % (name, batch, threads, differs) if s is ours else " " * 35
        print("%s  %-12s %9.1f %9.3f %9.3f %8.1f %s" % (head, s.name, s.start(), s.middle("p50_ms"), s.middle("p99_ms"), s.memory(), tail), flush=True)
    for note in notes:
        print(" " * 37 + note, flush=True)
    return row


def geometric(values):
    values = [v for v in values if v and v > 0]
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan


def summary(rows, threads):
    rows = [r for r in rows if r["threads"] == threads and "error" not in r and r["best"]]
    if not rows:
        return {}
    names = sorted({n for r in rows for n in r["ratios"]})
    result = {"models": len(rows), "best": geometric(r["ratios"][r["best"]][0] for r in rows)}
    for n in names:
        having = [r for r in rows if n in r["ratios"]]
        result[n] = geometric(r["ratios"][n][0] for r in having)
        of = lambda r, key: r["systems"][n][key] / max(r["systems"]["sluice"][key], 1e-3)
        result[n + " start"] = geometric(of(r, "start_ms") for r in having)
        result[n + " memory"] = geometric(max(of(r, "memory_mb"), 1e-3) for r in having)
    losses = ["%s b%d" % (r["model"], r["batch"]) for r in rows if r["ratios"][r["best"]][2] < 0.95]
    result["losses"] = losses
    print("%d thread%s, %d rows: p50 of the best peer / ours %.3f; %s" % (
        threads, "" if threads == 1 else "s", len(rows), result["best"],
        "; ".join("%s: p50 %.3f, start %.2f, memory %.2f" % (n, result[n], result[n + " start"], result[n + " memory"]) for n in names)))
    print("  wholly under 0.95: %s" % (", ".join(losses) or "none"))
    return result


def main():
    parser = argparse.ArgumentParser(prog="tools/compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], metavar="N")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="a round of one system (default 0.5)")
    parser.add_argument("--starts", type=int, default=3, help="processes whose creation and first run are timed (default 3)")
    parser.add_argument("--peers", nargs="*", default=["onnxruntime", "openvino", "torch"],
                        choices=["onnxruntime", "openvino", "torch"])
    parser.add_argument("--builders", metavar="FILE", help="Python file that builds the modules (models/make_models.py)")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--sluice", default=os.path.join(ROOT, "bazel-bin/tools/sluice"))
    parser.add_argument("--sluice-options", default="", help="further options of `sluice bench`, in one string")
    args = parser.parse_args()
    if not os.path.exists(args.sluice):
        parser.error("%s is not built: bazel build //tools:sluice" % args.sluice)
    if "torch" in args.peers and not args.builders:
        print("PyTorch is left out: --builders names no file that builds its modules")
        args.peers.remove("torch")
    models = sorted(glob.glob(os.path.join(args.folder, "*", "model.onnx")))
    if args.only:
        models = [m for m in models if os.path.basename(os.path.dirname(m)) in args.only]
    if not models:
        parser.error("no NAME/model.onnx in %s" % args.folder)
    print("%-20s %2s %2s %8s  %-12s %9s %9s %9s %8s %6s" % ("model", "b", "t", "diff", "system", "start ms", "p50 ms", "p99 ms", "mem MB", "ratio"))
    rows = []
    for model in models:
        for batch in args.batches:
            for threads in args.threads:
                row = compare(args, model, batch, threads)
                if row:
                    rows.append(row)
                if args.json:                                 # kept up to date: a long run may be stopped
                    with open(args.json, "w") as file:
                        json.dump({"rows": rows}, file, indent=1)
    means = {t: summary(rows, t) for t in args.threads}
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"rows": rows, "means": means}, file, indent=1)
    return 1 if any("error" in r for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
