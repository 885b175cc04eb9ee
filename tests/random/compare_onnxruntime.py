#!/usr/bin/env python3
"""Random graphs against ONNX Runtime: what all our forms agree on can still be wrong.

    bazel-bin/tests/random/random_graphs --onnx DIR --seed 1 --count 500
    tests/random/compare_onnxruntime.py DIR [--all]

Each folder below DIR holds model.onnx, whose outputs are all of its values, and test_data_set_*. Checks that onnx.checker
takes the model in full and that ONNX Runtime loads it. Then ONNX Runtime (unoptimised, so that its own rewrites do not
count) runs each node alone, fed with our values: so a difference is that node's, and an op that it lacks hides no other.
Where they differ, the reference implementation of the onnx package runs the node too.

known_differences.py holds what is decided, with reasons; all else is open, is printed, and makes the exit code 1. `--all`
prints the decided ones, too. Needs Python's onnx, onnxruntime and numpy.
"""
import collections, glob, os, pickle, signal, sys, traceback, warnings

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from known_differences import Difference, reason_for

warnings.filterwarnings("ignore")
np.seterr(all="ignore")
SECONDS = 300  # for a folder: ONNX Runtime may hang


def tensors(folder, kind):
    found = {}
    while os.path.exists("%s/%s_%d.pb" % (folder, kind, len(found))):
        with open("%s/%s_%d.pb" % (folder, kind, len(found)), "rb") as file:
            proto = onnx.TensorProto.FromString(file.read())
        found[proto.name] = numpy_helper.to_array(proto)
    return found


def what_differs(ours, theirs):
    """Empty: nothing."""
    if isinstance(theirs, list) or theirs is None:
        return "no tensor"
    theirs = np.asarray(theirs)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return "extents: %s%s, theirs %s%s" % (ours.dtype, ours.shape, theirs.dtype, theirs.shape)
    if ours.dtype.kind not in "fV":
        return "" if np.array_equal(ours, theirs) else "integers"
    bits = {"float16": 10, "float64": 52, "bfloat16": 7}.get(ours.dtype.name, 23)
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return "nan"
    if not np.array_equal(np.isinf(a), np.isinf(b)) or not np.array_equal(a[np.isinf(a)], b[np.isinf(a)]):
        return "infinite"
    seen = np.isfinite(a)
    # Sums round in another order: the error of an element is as large as the largest makes it.
    worst = np.abs(a - b)[seen].max(initial=0)
    largest = np.abs(b[seen]).max(initial=1e-30)
    return "numbers: %.3g of %.3g apart" % (worst, largest) if worst > 2.0 ** (8 - bits) * largest else ""


def names_read(node):
    """The values that a node reads, in its bodies as well."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        if attribute.HasField("g"):
            made = {t.name for t in attribute.g.initializer} | {i.name for i in attribute.g.input}
            made |= {name for inner in attribute.g.node for name in inner.output}
            reads = [name for inner in attribute.g.node for name in names_read(inner)]
            reads += [output.name for output in attribute.g.output]
            names += [name for name in reads if name not in made]
    return list(dict.fromkeys(names))


def regions(model, known):
    """Nodes that stand between values whose contents are known: for the most part one."""
    makers = {name: node for node in model.graph.node for name in node.output if name}
    for last in model.graph.node:
        outputs = [name for name in last.output if name in known]
        if not outputs:
            continue
        taken, waiting = {id(last)}, names_read(last)
        while waiting:
            name = waiting.pop()
            if name in known or name not in makers or id(makers[name]) in taken:
                continue
            taken.add(id(makers[name]))
            waiting += names_read(makers[name])
        yield [node for node in model.graph.node if id(node) in taken], outputs


def alone(model, nodes, outputs, runs):
    """A model of these nodes, and the names that it must be fed. Extents that are the same in all runs are given."""
    constants = {t.name: t for t in model.graph.initializer}
    made = {name for node in nodes for name in node.output}
    reads = list(dict.fromkeys(name for node in nodes for name in names_read(node) if name not in made))

    def info(name):
        seen = [values[name] for values in runs]
        dims = [extents[0] if len(set(extents)) == 1 else None for extents in zip(*(value.shape for value in seen))]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(seen[0].dtype), dims)

    feeds = [name for name in reads if name not in constants]
    graph = helper.make_graph(nodes, "alone", [info(name) for name in feeds], [info(name) for name in outputs],
                              [constants[name] for name in reads if name in constants])
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version), feeds


def first_line(error):
    return " ".join(str(error).split())[:400]


class Comparison:
    def __init__(self):
        self.options = onnxruntime.SessionOptions()
        self.options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.options.intra_op_num_threads = self.options.inter_op_num_threads = 1
        self.options.log_severity_level = 4
        self.counts, self.decided, self.lacking = collections.Counter(), collections.Counter(), collections.Counter()
        self.open = 0

    def say(self, where, difference):
        reason = reason_for(difference)
        if reason:
            self.decided[(difference.op, reason)] += 1
        else:
            self.open += 1
        if not reason or "--all" in sys.argv:
            print("%s: %s: %s" % (where, difference, reason or "OPEN"), flush=True)

    def session(self, model):
        return onnxruntime.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])

    def isolated(self, folder, without=()):
        """In a process of its own: a node that ends ONNX Runtime's is a difference, and the others are run again."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self.pipe, self.without = os.fdopen(writing, "wb"), without
            signal.alarm(SECONDS)
            try:
                self.folder(folder)
                pickle.dump((self.counts, self.decided, self.lacking, self.open), self.pipe)
                self.pipe.flush()
            except Exception:
                traceback.print_exc()
            os._exit(0)
        os.close(writing)
        entered, result = None, None
        with os.fdopen(reading, "rb") as file:
            try:
                while isinstance(said := pickle.load(file), str):
                    entered = said
                result = said
            except EOFError:
                pass
        os.waitpid(child, 0)
        if result is not None:
            self.counts, self.decided, self.lacking, self.open = result
            return
        nodes = [node for node in onnx.load(folder + "model.onnx").graph.node if node.name == entered]
        self.say(folder, Difference("fails there", nodes, {}, {}, {}, "the process ends", None))
        if entered:
            self.isolated(folder, (*without, entered))

    def folder(self, folder):
        seed = "seed " + os.path.basename(folder[:-1])
        self.counts["models"] += 1
        model = onnx.load(folder + "model.onnx")
        for kind, check in (("checker", lambda: onnx.checker.check_model(model, full_check=True)),
                            ("loader", lambda: self.session(model.SerializeToString()))):
            try:
                check()
            except Exception as error:
                text = first_line(error)
                if kind == "loader" and "NOT_IMPLEMENTED" in text:
                    continue  # its nodes alone say which
                self.say(seed, Difference(kind, model.graph.node, {}, {}, {}, text, None))
        data = sorted(glob.glob(folder + "test_data_set_*"))
        made = [outputs for at in data if len(outputs := tensors(at, "output")) == len(model.graph.output)]
        given = [tensors(at, "input") for at in data][:len(made)]
        for nodes, outputs in regions(model, {**given[0], **made[0]}) if given else []:
            self.region(seed, model, nodes, outputs, given, made)

    def region(self, seed, model, nodes, outputs, given, made):
        where = "%s %s" % (seed, nodes[-1].name)
        if nodes[-1].name in self.without:
            return
        pickle.dump(nodes[-1].name, self.pipe)
        self.pipe.flush()
        everything = [{**g, **m} for g, m in zip(given, made)]
        part, feeds = alone(model, nodes, outputs, everything)
        if any(str(everything[0][name].dtype) == "bfloat16" for name in feeds + outputs):
            self.counts["regions with bf16, which its Python does not take"] += 1
            return
        try:
            session = self.session(part.SerializeToString())
        except Exception as error:
            text = first_line(error)
            if "NOT_IMPLEMENTED" in text:
                self.lacking[nodes[-1].op_type if len(nodes) == 1 else text.split("implementation for ")[-1].split("(")[0]] += 1
            else:
                self.say(where, Difference("refused", nodes, everything[0], {}, {}, text, None))
            return
        for values in everything:
            self.counts["runs of a node"] += 1
            fed = {name: values[name] for name in feeds}
            ours = {name: values[name] for name in outputs}
            try:
                theirs = dict(zip(outputs, session.run(outputs, fed)))
            except Exception as error:
                self.say(where, Difference("fails there", nodes, values, {}, {}, first_line(error), None))
                continue
            kinds = [d for name in outputs if (d := what_differs(ours[name], theirs[name]))]
            if not kinds:
                continue
            try:
                third = dict(zip(outputs, ReferenceEvaluator(part).run(outputs, fed)))
                with_us = not any(what_differs(ours[name], third[name]) for name in outputs)
                with_them = not any(what_differs(np.asarray(theirs[name]), third[name]) for name in outputs)
                verdict = "ours" if with_us else "theirs" if with_them else "neither"
            except Exception as error:
                verdict = "fails: " + first_line(error)[:80]
            self.say(where, Difference("differs", nodes, values, ours, theirs, kinds[0], verdict))

    def summary(self):
        for (op, reason), times in sorted(self.decided.items()):
            print("%5d %s: %s" % (times, op, reason))
        print("not implemented there: " + ", ".join("%s %d" % item for item in sorted(self.lacking.items())))
        print(", ".join("%d %s" % (n, what) for what, n in self.counts.items()))
        print("%d open differences, %d documented" % (self.open, sum(self.decided.values())))


def main():
    comparison = Comparison()
    for folder in sorted(glob.glob(sys.argv[1] + "/*/"), key=lambda f: int(os.path.basename(f[:-1]))):
        if os.path.exists(folder + "model.onnx") and os.path.exists(folder + "test_data_set_0/output_0.pb"):
            comparison.isolated(folder)
    comparison.summary()
    return 1 if comparison.open or not comparison.counts["models"] else 0


if __name__ == "__main__":
    sys.exit(main())
