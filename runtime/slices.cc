#include "runtime/slices.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "graph/effects.h"
#include "kernels/cpu/cost/cost.h"

namespace sluice {
namespace {

constexpr int64_t kMaxSlices = 32;  // each has launches of its own in the plan
// Estimates are rough: a stretch must promise so much.
constexpr double kLeastNs = 20e3;
// Reads wait, and writes read first: what a byte costs that the second-level cache does not hold,
// against the rate of plain reading. Measured on light networks at batch 8.
constexpr double kWait = 1.5;
// The part of the last cache that other programs on the chip leave to this one.
constexpr double kShareOfLast = 0.25;
// What the threads of a small launch lose by waiting for one another, in forks.
constexpr double kMeetings = 4;

// Nanoseconds that a step over `set` bytes of activations waits for `bytes` of them.
double WaitNs(double bytes, double set, int threads) {
  const cpu::CpuCosts& c = cpu::Costs();
  const double n = std::max(1, threads);
  if (set <= static_cast<double>(c.l2_bytes) * n) return 0;
  const bool near = set <= kShareOfLast * static_cast<double>(c.l3_bytes);
  return kWait * bytes / ((near ? c.l3 : c.memory) * n);
}

// What running a node in slices of `rows` saves.
double SavedNs(const SliceNode& node, int64_t batch, int64_t rows, int threads) {
  const double slices = static_cast<double>(batch / rows);
  const double waits = WaitNs(node.row_bytes, node.row_bytes, threads) -
                       WaitNs(node.row_bytes, node.row_bytes / slices, threads);
  const double again = cpu::Costs().call + kMeetings * cpu::ForkNs(threads) +
                       cpu::MoveNs(node.whole_bytes, 16 * node.whole_bytes, threads);
  return waits - (slices - 1) * again;
}

// The stretches whose sum is largest, each ended by a node that may not be sliced.
Slicing InSlicesOf(int64_t rows, absl::Span<const SliceNode> nodes, int64_t batch, int threads) {
  Slicing slicing{.rows = rows, .stretches = {}};
  const int n = static_cast<int>(nodes.size());
  for (int begin = 0; begin < n;) {
    // Kadane's: the best stretch before the next such node, then on from its end.
    Stretch best{begin, begin};
    double saved = 0, best_saved = 0;
    int start = begin, i = begin;
    for (; i < n && nodes[i].kind != SliceNode::Kind::kOther; ++i) {
      if (nodes[i].kind == SliceNode::Kind::kNoStep) continue;
      if (saved <= 0) saved = 0, start = i;
      saved += SavedNs(nodes[i], batch, rows, threads);
      if (saved > best_saved) best_saved = saved, best = {start, i + 1};
    }
    if (best_saved < kLeastNs) {
      begin = i + 1;
      continue;
    }
    slicing.stretches.push_back(best);
    slicing.saved_ns += best_saved;
    begin = best.last;
  }
  return slicing;
}

double Bytes(const Type& type) {
  const std::optional<Dims> dims = type.is_tensor() ? type.StaticDims() : std::nullopt;
  if (!dims.has_value()) return 0;
  double bytes = static_cast<double>(ByteSize(type.dtype()));
  for (int64_t d : *dims) bytes *= static_cast<double>(d);
  return bytes;
}

bool Declared(const Node& node) {
  const OpDef& op = node.op();
  return IsPure(node) && (op.elementwise || (op.row_wise != nullptr && op.row_wise(node)));
}

// Contents that follow the batch: of an input that is no more than a shape they may.
bool SameContents(const Node& whole, const Node& part, size_t input) {
  return whole.input(input)->known_dims() == part.input(input)->known_dims() ||
         whole.op().InputParam(input)->role == InputRole::kExtents;
}

// The nodes of a body: those that read rows give rows.
bool BodyIsRowWise(const Graph& whole, const Graph& part, int64_t batch, int64_t rows) {
  if (whole.num_nodes() != part.num_nodes()) return false;
  auto other = part.nodes().begin();
  for (const auto& node : whole.nodes()) {
    const Node& same = **other++;
    bool reads_rows = false;
    for (size_t i = 0; i < node->num_inputs(); ++i) {
      if (node->input(i) == nullptr) continue;
      reads_rows |= !(node->input(i)->type() == same.input(i)->type());
    }
    if (reads_rows && !IsRowWise(*node, same, batch, rows)) return false;
  }
  return true;
}

}  // namespace

bool HasRows(const Type& whole, const Type& part, int64_t batch, int64_t rows) {
  if (!whole.is_tensor() || !part.is_tensor() || whole.dtype() != part.dtype() ||
      whole.layout() != part.layout() || !whole.has_static_shape() || !part.has_static_shape() ||
      whole.rank() != part.rank() || whole.rank() == 0)
    return false;
  for (int d = 1; d < whole.rank(); ++d) {
    if (whole.dim(d).number() != part.dim(d).number()) return false;
  }
  return whole.dim(0).number() == batch && part.dim(0).number() == rows;
}

bool IsRowWise(const Node& whole, const Node& part, int64_t batch, int64_t rows) {
  if (!Declared(whole) || !whole.control_inputs().empty()) return false;
  if (whole.num_inputs() != part.num_inputs() || whole.num_outputs() != part.num_outputs())
    return false;
  for (size_t i = 0; i < whole.num_outputs(); ++i) {
    if (!HasRows(whole.output(i)->type(), part.output(i)->type(), batch, rows)) return false;
  }
  const int rank = whole.output()->type().rank();
  int with_rows = 0;
  bool aligned = true;  // axis 0 of every such input is axis 0 of the result
  for (size_t i = 0; i < whole.num_inputs(); ++i) {
    if (whole.input(i) == nullptr) continue;
    const Type &a = whole.input(i)->type(), &b = part.input(i)->type();
    if (a == b) {
      // What stretches to the result stretches along axis 0.
      const bool stretched =
          !whole.op().elementwise || !a.is_tensor() || a.rank() < rank || a.dim(0) == Dim(1);
      if (!stretched || !SameContents(whole, part, i)) return false;
      continue;
    }
    if (!HasRows(a, b, batch, rows)) return false;
    ++with_rows;
    aligned &= a.rank() == rank;
  }
  // One alone cannot be taken for another axis: inference would not give rows for rows.
  if (with_rows == 0) return false;
  for (const auto& [name, body] : whole.bodies()) {
    if (!BodyIsRowWise(*body, *part.body(name), batch, rows)) return false;
  }
  return with_rows == 1 || aligned || !whole.bodies().empty();
}

std::vector<SliceNode> SliceNodes(absl::Span<Node* const> nodes, int64_t batch) {
  std::vector<SliceNode> found;
  for (const Node* node : nodes) {
    SliceNode& s = found.emplace_back();
    if (node->Is("Constant")) {
      s.kind = SliceNode::Kind::kNoStep;
      continue;
    }
    if (!Declared(*node)) continue;
    s.kind = SliceNode::Kind::kRowWise;
    const auto add = [&](const Value& v) {
      const Type& t = v.type();
      const bool rows = v.constant() == nullptr && t.is_tensor() && t.has_static_shape() &&
                        t.rank() > 0 && t.dim(0).number() == batch;
      (rows ? s.row_bytes : s.whole_bytes) += Bytes(t);
    };
    for (const Value* v : node->inputs()) {
      if (v != nullptr) add(*v);
    }
    for (size_t i = 0; i < node->num_outputs(); ++i) add(*node->output(i));
  }
  return found;
}

Slicing FindSlices(absl::Span<const SliceNode> nodes, int64_t batch, int threads, int64_t rows) {
  if (rows > 0) return InSlicesOf(rows, nodes, batch, threads);
  Slicing best;
  for (int64_t slices = 2; slices <= std::min(batch, kMaxSlices); ++slices) {
    if (batch % slices != 0) continue;
    Slicing slicing = InSlicesOf(batch / slices, nodes, batch, threads);
    if (!slicing.stretches.empty() && slicing.saved_ns > best.saved_ns) best = std::move(slicing);
  }
  return best;
}

}  // namespace sluice
