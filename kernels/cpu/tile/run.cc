// The interpreter of tile plans.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/tile/plan_data.h"

namespace sluice::cpu {
namespace {

using Data = TilePlan::Data;

// One thread's view of a running program.
class Worker {
 public:
  Worker(const Data& program, absl::Span<const void* const> inputs, absl::Span<void* const> outputs,
         char* slots)
      : p_(program), inputs_(inputs), outputs_(outputs), slots_(slots) {
    for (size_t id = 0; id < p_.nodes.size(); ++id) {
      filled_[id] = kept_[id] = 0;
      single_[id] = false;
      if (p_.nodes[id].extent == TileExtent::kOne) Compute(static_cast<int>(id));
    }
  }

  void RunUnits(int64_t first, int64_t last) {
    for (int64_t unit = first; unit < last; ++unit) {
      // Divisions cost as much as a small step.
      const int64_t block = p_.units == 1 ? 0 : unit / p_.tiles_per_block;
      const int64_t begin = (unit - block * p_.tiles_per_block) * p_.rows_per_tile;
      row_begin_ = block * p_.block + begin;
      rows_ = std::min(p_.rows_per_tile, p_.block - begin);
      switch (p_.mode) {
        case Data::Mode::kRows:
          RunRows();
          break;
        case Data::Mode::kLongRow:
          RunLongRow();
          break;
        case Data::Mode::kColumns:
          RunColumns();
          break;
      }
    }
  }

 private:
  void RunRows() {
    full_begin_ = row_begin_ * p_.row;
    full_count_ = rows_ * p_.row;
    for (int id : p_.full_nodes[0]) {
      const PlanNode& n = p_.nodes[id];
      if (n.kind == TileNode::Kind::kReduce) {
        StartReduction(id);
        const size_t size = ByteSize(n.dtype);
        const char* x = static_cast<const char*>(Stretch(n.inputs[0], TileExtent::kFull));
        char* acc = Slot(n.slot);
        for (int64_t r = 0; r < rows_; ++r) n.reduce(x + r * p_.row * size, p_.row, acc + r * size);
      } else {
        Compute(id);
      }
    }
    StoreOutputs(/*rows=*/false);
    StoreOutputs(/*rows=*/true);
  }

  void RunLongRow() {
    for (int sweep = 0; sweep < p_.sweeps; ++sweep) {
      BeginSweep(sweep);
      for (int64_t begin = 0; begin < p_.row; begin += p_.tile) {
        full_begin_ = row_begin_ * p_.row + begin;
        full_count_ = std::min(p_.tile, p_.row - begin);
        for (int id : p_.full_nodes[sweep]) {
          const PlanNode& n = p_.nodes[id];
          if (n.kind == TileNode::Kind::kReduce) {
            n.reduce(Stretch(n.inputs[0], TileExtent::kFull), full_count_, Slot(n.slot));
          } else {
            Compute(id);
          }
        }
        if (sweep + 1 == p_.sweeps) StoreOutputs(/*rows=*/false);
      }
    }
    EndSweeps();
  }

  void RunColumns() {
    const int64_t outer = row_begin_ / p_.inner, column = row_begin_ % p_.inner;
    for (int sweep = 0; sweep < p_.sweeps; ++sweep) {
      BeginSweep(sweep);
      for (int64_t r = 0; r < p_.row; r += p_.chunk) {
        const int64_t chunk = std::min(p_.chunk, p_.row - r);
        full_begin_ = (outer * p_.row + r) * p_.inner + column;
        full_count_ = chunk * rows_;
        for (int id : p_.full_nodes[sweep]) {
          const PlanNode& n = p_.nodes[id];
          if (n.kind == TileNode::Kind::kReduce) {
            n.reduce_columns(Stretch(n.inputs[0], TileExtent::kFull), chunk, rows_, Slot(n.slot));
          } else {
            Compute(id);
          }
        }
        if (sweep + 1 == p_.sweeps) StoreOutputs(/*rows=*/false);
      }
    }
    EndSweeps();
  }

  void BeginSweep(int sweep) {
    for (int id : p_.row_nodes[sweep]) Compute(id);
    for (int id : p_.full_nodes[sweep]) {
      if (p_.nodes[id].kind == TileNode::Kind::kReduce) StartReduction(id);
    }
  }
  void EndSweeps() {
    for (int id : p_.row_nodes[p_.sweeps]) Compute(id);
    StoreOutputs(/*rows=*/true);
  }

  void StartReduction(int id) {
    const PlanNode& n = p_.nodes[id];
    FillElements(Slot(n.slot), n.constant, ByteSize(n.dtype), rows_);
    ptr_[id] = Slot(n.slot);
    filled_[id] = 0;
    single_[id] = rows_ == 1;
  }

  char* Slot(int slot) const { return slots_ + slot * p_.slot_bytes; }
  int64_t Count(TileExtent extent) const {
    return extent == TileExtent::kOne ? 1 : extent == TileExtent::kRow ? rows_ : full_count_;
  }

  // All elements of a value as an array of what `extent` has.
  const void* Stretch(int id, TileExtent extent) {
    const PlanNode& n = p_.nodes[id];
    const int64_t count = Count(extent);
    const bool as_is = n.extent == extent || count == rows_;
    if (!single_[id] ? as_is : count <= 1) return ptr_[id];
    if (filled_[id] >= count) return Slot(n.filled_slot);
    const size_t size = ByteSize(n.dtype);
    char* out = Slot(n.filled_slot);
    if (single_[id]) {
      FillElements(out, ptr_[id], size, count);
    } else if (p_.mode == Data::Mode::kColumns) {  // the columns, for each reduced point anew
      for (int64_t k = 0; k < count; k += rows_) {
        std::memcpy(out + k * size, ptr_[id], std::min(rows_, count - k) * size);
      }
    } else {  // rows over their elements
      RepeatElements(out, ptr_[id], size, rows_, p_.row);
    }
    filled_[id] = count;
    return out;
  }

  void Compute(int id) {
    const PlanNode& n = p_.nodes[id];
    filled_[id] = 0;
    if (n.kind == TileNode::Kind::kScalar) {
      ptr_[id] = n.constant;
      single_[id] = true;
    } else if (n.kind == TileNode::Kind::kInput) {
      LoadInput(id);
    } else if (n.kind == TileNode::Kind::kRandom) {
      MakeNumbers(id);
    } else {
      RunStep(id);
    }
  }

  void LoadInput(int id) {
    const PlanNode& n = p_.nodes[id];
    const void* base = inputs_[n.operand];
    if (n.extent == TileExtent::kOne) {
      ptr_[id] = base;
      single_[id] = true;
      return;
    }
    const int64_t count = Count(n.extent);
    if (count == 0 || (n.keep && kept_[id] >= count)) return;
    bool single;
    ptr_[id] = n.box.Load(base, n.extent == TileExtent::kRow ? row_begin_ : full_begin_, count,
                          n.slot >= 0 ? Slot(n.slot) : nullptr, &single);
    single_[id] = single || (n.extent == TileExtent::kRow && rows_ == 1);
    kept_[id] = single ? 0 : count;
  }

  void MakeNumbers(int id) {
    const PlanNode& n = p_.nodes[id];
    ptr_[id] = Slot(n.slot);
    single_[id] = n.extent == TileExtent::kOne || (n.extent == TileExtent::kRow && rows_ == 1);
    const int64_t count = Count(n.extent);
    if (count == 0) return;
    const uint64_t* words = static_cast<const uint64_t*>(inputs_[n.operand]);
    const int64_t begin = n.extent == TileExtent::kOne   ? 0
                          : n.extent == TileExtent::kRow ? row_begin_
                                                         : full_begin_;
    n.box.FillRandom(n.distribution, Fold({words[0], words[1]}, n.stream), begin, count,
                     Slot(n.slot));
  }

  void RunStep(int id) {
    const PlanNode& n = p_.nodes[id];
    const bool direct = n.direct_output >= 0;
    bool all_single = true;
    for (int k = 0; k < n.num_inputs; ++k) all_single &= single_[n.inputs[k]];
    const void* in[3];
    if (all_single && !direct) {
      for (int k = 0; k < n.num_inputs; ++k) in[k] = ptr_[n.inputs[k]];
      n.function.fn(in, Slot(n.slot), 1, n.params);
      ptr_[id] = Slot(n.slot);
      single_[id] = true;
      return;
    }
    const int64_t count = Count(n.extent);
    TileFn fn = n.function.fn;
    int scalar = -1;
    if (count > 1 && n.function.scalar1 != nullptr && single_[n.inputs[1]]) {
      scalar = 1;
      fn = n.function.scalar1;
    } else if (count > 1 && n.function.scalar0 != nullptr && single_[n.inputs[0]]) {
      scalar = 0;
      fn = n.function.scalar0;
    }
    for (int k = 0; k < n.num_inputs; ++k) {
      in[k] = k == scalar ? ptr_[n.inputs[k]] : Stretch(n.inputs[k], n.extent);
    }
    void* out = direct ? static_cast<char*>(outputs_[n.direct_output]) +
                             full_begin_ * static_cast<int64_t>(ByteSize(n.dtype))
                       : Slot(n.slot);
    fn(in, out, count, n.params);
    ptr_[id] = out;
    single_[id] = n.extent == TileExtent::kRow && rows_ == 1;
  }

  void StoreOutputs(bool rows) {
    for (int i : p_.stored_outputs) {
      const PlanOutput& out = p_.outputs[i];
      const PlanNode& n = p_.nodes[out.value];
      if ((n.extent == TileExtent::kRow) != rows) continue;
      const TileExtent extent = rows ? TileExtent::kRow : TileExtent::kFull;
      const int64_t count = Count(extent);
      if (count == 0) continue;
      out.box.Store(Stretch(out.value, extent), outputs_[i], rows ? row_begin_ : full_begin_,
                    count);
    }
  }

  const Data& p_;
  const absl::Span<const void* const> inputs_;
  const absl::Span<void* const> outputs_;
  char* const slots_;

  int64_t row_begin_ = 0, rows_ = 0, full_begin_ = 0, full_count_ = 0;
  const void* ptr_[TileProgram::kMaxNodes];
  // How many elements of the filled slot are good; of a kept input, how many were gathered.
  int64_t filled_[TileProgram::kMaxNodes], kept_[TileProgram::kMaxNodes];
  bool single_[TileProgram::kMaxNodes];  // ptr_ points to one element, which stands for all
};

// The step alone, over elements [begin, end).
void RunLoneStep(const Data& p, absl::Span<const void* const> inputs,
                 absl::Span<void* const> outputs, int64_t begin, int64_t end) {
  const PlanNode& n = p.nodes[p.lone_step];
  const void* in[3];
  TileFn fn = n.function.fn;
  for (int k = 0; k < n.num_inputs; ++k) {
    const PlanNode& operand = p.nodes[n.inputs[k]];
    const bool constant = operand.kind == TileNode::Kind::kScalar;
    in[k] = constant ? operand.constant : inputs[operand.operand];
    if (operand.extent == TileExtent::kFull) {
      in[k] = static_cast<const char*>(in[k]) + begin * ByteSize(operand.dtype);
    } else {
      fn = k == 0 ? n.function.scalar0 : n.function.scalar1;
    }
  }
  char* out = static_cast<char*>(outputs[0]) + begin * ByteSize(n.dtype);
  fn(in, out, static_cast<size_t>(end - begin), n.params);
}

}  // namespace

void TilePlan::Run(absl::Span<const void* const> inputs, absl::Span<void* const> outputs,
                   void* scratch, ThreadPool* pool) const {
  const Data& p = *data_;
  if (p.lone_step >= 0 && (p.max_tasks == 1 || pool == nullptr)) {
    return RunLoneStep(p, inputs, outputs, 0, p.outer);
  }
  const auto run = [&](int task, int tasks) {
    if (p.lone_step >= 0) {
      return RunLoneStep(p, inputs, outputs, p.outer * task / tasks, p.outer * (task + 1) / tasks);
    }
    Worker worker(p, inputs, outputs, static_cast<char*>(scratch) + task * p.slots * p.slot_bytes);
    worker.RunUnits(p.units * task / tasks, p.units * (task + 1) / tasks);
  };
  if (p.max_tasks == 1 || pool == nullptr) {
    run(0, 1);
  } else {
    pool->RunTasks(p.max_tasks, run);
  }
}

}  // namespace sluice::cpu
