#include "kernels/cpu/onednn/dnnl_node.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"

namespace sluice::cpu {

using Desc = dnnl::memory::desc;

DnnlNode::DnnlNode(const PrepareContext& context, DType compute)
    : context_(&context),
      out_dtype_(context.output_dtype(0)),
      compute_(compute),
      out_elements_(Product(context.output_dims(0))) {
  for (const Type& t : context.inputs) dtypes_.push_back(t.dtype());
}

std::unique_ptr<DnnlPrimitive> DnnlNode::Reorder(const Desc& from, const Desc& to) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::reorder::primitive_desc pd(DnnlEngine(), from, DnnlEngine(), to, attr);
  std::vector<DnnlPrimitive::Argument> arguments = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  // The scratchpad is always there, of the largest size that any part wants.
  arguments.push_back({DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()});
  scratchpad_bytes_ = std::max(scratchpad_bytes_, pd.scratchpad_desc().get_size());
  return std::make_unique<DnnlPrimitive>(dnnl::reorder(pd), std::move(arguments));
}

void DnnlNode::Input(int id, int input, const Desc& plain, const Desc& wanted) {
  const size_t i = static_cast<size_t>(input);
  const DType dtype = DTypeOfDnnl(plain.get_data_type());
  // What 8-bit weights hold for zero points is the node's: they are packed for it alone.
  if (context_->IsConstant(i) || (context_->IsPackable(i) && IsFloat(dtype))) {
    absl::StatusOr<int> form = DnnlPack(*context_, i, dtype, plain, wanted, &packed_);
    if (!form.ok()) return status_.Update(form.status());
    unread_.push_back(input);
    if (const void* fixed = packed_.fixed(*form); fixed != nullptr) {
      arguments_.push_back({id, wanted, fixed});
    } else {
      arguments_.push_back({id, wanted});
      bound_.push_back({.input = input, .packed = *form});
    }
    return;
  }
  Bound b{.input = input, .dtype = dtypes_[i], .wanted = dtype, .elements = 1, .reorder = nullptr};
  for (int64_t d : plain.get_dims()) b.elements *= d;
  b.convert = dtypes_[i] != dtype;
  if (b.convert) b.converted = layout_.Take(plain.get_size());
  if (plain != wanted) {
    b.reordered = layout_.Take(wanted.get_size());
    b.reorder = Reorder(plain, wanted);
  }
  arguments_.push_back({id, wanted});
  bound_.push_back(std::move(b));
}

void DnnlNode::Fixed(int id, int input, const Desc& desc, Tensor contents) {
  arguments_.push_back({id, desc, contents.raw()});
  fixed_.push_back(std::move(contents));
  unread_.push_back(input);
}

void DnnlNode::Output(const Desc& plain, const Desc& wanted) {
  if (IsFloat(out_dtype_) && out_dtype_ != compute_)
    out_converted_ = layout_.Take(plain.get_size());
  if (plain != wanted) {
    out_reordered_ = layout_.Take(wanted.get_size());
    out_reorder_ = Reorder(wanted, plain);
  }
  arguments_.push_back({DNNL_ARG_DST, wanted});
}

void DnnlNode::Tail(Epilogue tail, std::vector<int> inputs) {
  tail_ = std::move(tail);
  tail_inputs_ = std::move(inputs);
}

void DnnlNode::Finish(const dnnl::primitive& primitive, const Desc& scratchpad,
                      std::string description) {
  if (scratchpad.get_size() > 0) {
    primitive_scratchpad_ = true;
    arguments_.push_back({DNNL_ARG_SCRATCHPAD, scratchpad});
    scratchpad_bytes_ = std::max(scratchpad_bytes_, scratchpad.get_size());
  }
  scratchpad_ = layout_.Take(std::max<size_t>(scratchpad_bytes_, 1));
  primitive_ = std::make_unique<DnnlPrimitive>(primitive, std::move(arguments_));
  description_ = std::move(description);
  context_ = nullptr;
}

size_t DnnlNode::packed_bytes() const {
  size_t bytes = packed_.bytes();
  for (const Tensor& t : fixed_) bytes += t.bytes();
  return bytes;
}

absl::Status DnnlNode::Launch(const LaunchContext& context) const {
  char* const scratch = static_cast<char*>(context.scratch);
  absl::InlinedVector<const void*, 12> data;
  for (const Bound& b : bound_) {
    const void* from = b.packed < 0 ? context.inputs[b.input] : packed_.data(b.packed, context);
    if (b.convert) {
      ConvertParallel(FindConversion(b.dtype, b.wanted), from, ByteSize(b.dtype),
                      scratch + b.converted, ByteSize(b.wanted), b.elements, context.pool);
      from = scratch + b.converted;
    }
    if (b.reorder != nullptr) {
      char* to = scratch + b.reordered;
      absl::Status s = b.reorder->Run(context.pool, {from, to, scratch + scratchpad_});
      if (!s.ok()) return s;
      from = to;
    }
    data.push_back(from);
  }
  const bool convert = IsFloat(out_dtype_) && out_dtype_ != compute_;
  void* const plain = convert ? scratch + out_converted_ : context.outputs[0];
  void* const out = out_reorder_ != nullptr ? scratch + out_reordered_ : plain;
  data.push_back(out);
  if (primitive_scratchpad_) data.push_back(scratch + scratchpad_);
  if (absl::Status s = primitive_->Run(context.pool, data); !s.ok()) return s;
  if (out_reorder_ != nullptr) {
    absl::Status s = out_reorder_->Run(context.pool, {out, plain, scratch + scratchpad_});
    if (!s.ok()) return s;
  }
  if (tail_.has_value()) {
    absl::InlinedVector<const void*, 8> operands;
    for (int i : tail_inputs_) operands.push_back(context.inputs[i]);
    tail_->RunAll(plain, operands, context.pool);
  }
  if (convert) {
    ConvertParallel(FindConversion(compute_, out_dtype_), plain, ByteSize(compute_),
                    context.outputs[0], ByteSize(out_dtype_), out_elements_, context.pool);
  }
  return absl::OkStatus();
}

}  // namespace sluice::cpu
