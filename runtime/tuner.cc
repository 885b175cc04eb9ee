#include "runtime/tuner.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/format.h"
#include "base/hash.h"
#include "kernels/cpu/cpu_kernels.h"

namespace sluice {
namespace {

constexpr char kMagic[] = "sluice tuning ", kHeader[] = "sluice tuning 1";
constexpr off_t kMaxFileBytes = 16 << 20;
constexpr int kRuns = 7;
constexpr double kEnoughNs = 30e6;  // of trials for one candidate
constexpr double kHopeless = 3;     // times the best: not run again

void AddText(absl::string_view text, Hasher* h) { h->AddBytes(text.data(), text.size()); }

// False where an attribute has no short form.
bool AddAttribute(const Attribute& a, Hasher* h) {
  switch (a.kind()) {
    case AttrKind::kInt:
      h->AddWord(static_cast<uint64_t>(a.as_int()));
      return true;
    case AttrKind::kFloat: {
      const float v = a.as_float();
      h->AddBytes(&v, sizeof v);
      return true;
    }
    case AttrKind::kString:
      AddText(a.as_string(), h);
      return true;
    case AttrKind::kInts:
      h->AddBytes(a.as_ints().data(), a.as_ints().size() * sizeof(int64_t));
      return true;
    case AttrKind::kFloats:
      h->AddBytes(a.as_floats().data(), a.as_floats().size() * sizeof(float));
      return true;
    case AttrKind::kStrings:
      h->AddWord(a.as_strings().size());
      for (const std::string& s : a.as_strings()) AddText(s, h);
      return true;
    case AttrKind::kDType:
      h->AddWord(static_cast<uint64_t>(a.as_dtype()));
      return true;
    default:
      return false;
  }
}

// Empty where the node is not for tuning.
std::string KeyOf(const PrepareContext& c) {
  if (!c.node.bodies().empty()) return "";
  for (const Type& t : c.outputs) {
    if (!t.is_tensor() || !t.has_static_shape() || t.dtype() == DType::kString) return "";
  }
  Hasher h;
  AddText(CpuKernelsVersion(), &h);
  AddText(c.node.op_name(), &h);
  for (const auto& [name, value] : c.node.attrs()) {
    AddText(name, &h);
    if (!AddAttribute(value, &h)) return "";
  }
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (c.HasInput(i) && c.input_dtype(i) == DType::kString) return "";
    AddText(c.inputs[i].ToString(), &h);
    h.AddWord(c.IsConstant(i) ? 1 : c.IsPackable(i) ? 2 : 0);
  }
  for (const Type& t : c.outputs) AddText(t.ToString(), &h);
  h.AddWord(static_cast<uint64_t>(c.threads));
  h.AddWord(static_cast<uint64_t>(c.accuracy));
  return h.Hex();
}

// Memory for launches of one node: its constants, numbers around 0 for other floats, zeros for the
// rest (indices stay in range).
class Bench {
 public:
  Bench(const PrepareContext& context, ThreadPool* pool) : pool_(pool) {
    for (size_t i = 0; i < context.inputs.size() && status_.ok(); ++i) {
      Tensor t;
      if (context.IsConstant(i)) {
        absl::StatusOr<Tensor> aligned = context.constants[i].Aligned();
        if (!aligned.ok()) {
          status_ = aligned.status();
        } else {
          t = *std::move(aligned);
        }
      } else if (context.HasInput(i)) {
        t = Allocate(context.inputs[i]);
        Fill(&t);
      }
      inputs_.push_back(t.valid() ? t.raw() : nullptr);
      tensors_.push_back(std::move(t));
    }
    for (size_t i = 0; i < context.outputs.size() && status_.ok(); ++i) {
      tensors_.push_back(Allocate(context.outputs[i]));
      outputs_.push_back(tensors_.back().valid() ? tensors_.back().mutable_raw() : nullptr);
    }
  }

  const absl::Status& status() const { return status_; }

  // The fastest of some runs. `best` so far ends a hopeless trial early.
  absl::StatusOr<double> Time(const Kernel& kernel, double best) {
    Tensor scratch;
    if (kernel.scratch_bytes() > 0) {
      absl::StatusOr<Tensor> t =
          Tensor::Allocate(DType::kU8, {static_cast<int64_t>(kernel.scratch_bytes())});
      if (!t.ok()) return t.status();
      scratch = *std::move(t);
    }
    std::vector<Tensor> packed;
    std::vector<const void*> forms;
    for (const InputForm& form : kernel.forms()) {
      absl::StatusOr<Tensor> t = form.pack(tensors_[form.input]);
      if (!t.ok()) return t.status();
      forms.push_back(t->raw());
      packed.push_back(*std::move(t));
    }
    const LaunchContext launch{
        inputs_, absl::MakeSpan(outputs_), scratch.mutable_raw(), pool_, nullptr, forms};
    double fastest = INFINITY, total = 0;
    for (int run = 0; run <= kRuns && total < kEnoughNs; ++run) {
      const auto start = std::chrono::steady_clock::now();
      if (absl::Status s = kernel.Launch(launch); !s.ok()) return s;
      const double took =
          std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start)
              .count();
      total += took;
      // The first run finds cold memory: it counts only where there is no second.
      if (run == 0 && took < kEnoughNs && took < kHopeless * best) continue;
      fastest = std::min(fastest, took);
      if (fastest > kHopeless * best) break;
    }
    return fastest;
  }

 private:
  Tensor Allocate(const Type& type) {
    absl::StatusOr<Tensor> t = Tensor::Allocate(type.dtype(), *type.StaticDims());
    if (!t.ok()) {
      status_ = t.status();
      return Tensor();
    }
    if (t->bytes() > 0) std::memset(t->mutable_raw(), 0, t->bytes());
    return *std::move(t);
  }
  static void Fill(Tensor* t) {
    if (!t->valid() || t->dtype() != DType::kF32) return;
    float* data = t->mutable_data<float>();
    uint32_t state = 1;
    for (int64_t i = 0; i < t->elements(); ++i) {
      state = state * 1664525u + 1013904223u;
      data[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
    }
  }

  ThreadPool* pool_;
  absl::Status status_;
  std::vector<Tensor> tensors_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
};

absl::Status CannotWrite(absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write the tuning cache ", path));
}

// Beside the target, then in its place, with the permissions of the file before it.
absl::Status Replace(const std::string& path, const std::string& text) {
  static std::atomic<unsigned> counter = 0;
  const std::string temporary = absl::StrCat(path, ".tmp", getpid(), "-", counter++);
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return CannotWrite(path);
  absl::Status status;
  struct stat before;
  if (stat(path.c_str(), &before) == 0 && fchmod(fd, before.st_mode & 0777) != 0)
    status = CannotWrite(path);
  for (size_t done = 0; done < text.size() && status.ok();) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n >= 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      status = CannotWrite(path);
    }
  }
  if (status.ok() && fsync(fd) != 0) status = CannotWrite(path);
  close(fd);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = CannotWrite(path);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

// All of a file of ordinary size, else its beginning; "" where there is no file.
absl::StatusOr<std::string> Contents(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return "";
  if (fd < 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read the tuning cache ", path));
  std::string text;
  struct stat info;
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (regular) {
    text.resize(static_cast<size_t>(info.st_size <= kMaxFileBytes ? info.st_size : 4096));
    size_t done = 0;
    for (ssize_t n; done < text.size(); done += static_cast<size_t>(n)) {
      n = read(fd, text.data() + done, text.size() - done);
      if (n <= 0) break;
    }
    text.resize(done);
  }
  close(fd);
  if (!regular) return absl::InvalidArgumentError(absl::StrCat(path, " is no regular file"));
  return text;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Tuner>> Tuner::Open(
    std::string path, ThreadPool* pool, std::function<void(absl::string_view line)> warn) {
  std::shared_ptr<Tuner> tuner(new Tuner(std::move(path), pool, std::move(warn)));
  absl::StatusOr<Winners> winners = Read(tuner->path_);
  if (!winners.ok()) return winners.status();
  tuner->winners_ = *std::move(winners);
  const size_t slash = tuner->path_.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : tuner->path_.substr(0, slash + 1);
  if (access(tuner->path_.c_str(), F_OK) != 0 && access(folder.c_str(), W_OK | X_OK) != 0)
    return CannotWrite(tuner->path_);
  return tuner;
}

absl::StatusOr<Tuner::Winners> Tuner::Read(const std::string& path) {
  absl::StatusOr<std::string> text = Contents(path);
  if (!text.ok()) return text.status();
  if (text->empty()) return Winners();
  if (!absl::StartsWith(*text, kMagic)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     " is no tuning cache, so it is left alone; expected a file that begins "
                     "with '",
                     kMagic, "', an empty one, or none"));
  }
  const std::vector<absl::string_view> lines = absl::StrSplit(*text, '\n');
  if (lines.size() < 3 || lines.front() != kHeader || !lines.back().empty()) return Winners();
  Winners winners;
  for (size_t i = 1; i + 2 < lines.size(); ++i) {
    const std::vector<absl::string_view> fields = absl::StrSplit(lines[i], '\t');
    double ns;
    if (fields.size() != 3 || fields[0].size() != 32 || fields[2].empty() ||
        !absl::SimpleAtod(fields[1], &ns) || !(ns >= 0) || std::isinf(ns)) {
      return Winners();
    }
    winners[std::string(fields[0])] = {std::string(fields[2]), ns};
  }
  // The last line is there when all before it are.
  if (lines[lines.size() - 2] != absl::StrCat("end\t", winners.size())) return Winners();
  return winners;
}

absl::StatusOr<std::unique_ptr<Kernel>> Tuner::Prepare(const KernelTable& table,
                                                       const PrepareContext& context,
                                                       std::string* choice) {
  const std::string key = KeyOf(context);
  std::vector<std::string> notes;
  absl::StatusOr<std::vector<KernelTable::Ranked>> ranked = table.Rank(context, &notes);
  if (!ranked.ok()) return ranked.status();
  if (key.empty() || ranked->size() < 2) return table.Prepare(context, choice);

  std::lock_guard<std::mutex> lock(mutex_);
  if (auto it = winners_.find(key); it != winners_.end()) {
    for (const KernelTable::Ranked& r : *ranked) {
      if (r.candidate->name != it->second.candidate) continue;
      absl::StatusOr<std::unique_ptr<Kernel>> kernel = r.candidate->prepare(context);
      if (!kernel.ok()) break;
      *choice = absl::StrCat("measured earlier: ", FormatNanoseconds(it->second.nanoseconds));
      return kernel;
    }
  }
  Bench bench(context, pool_);
  if (!bench.status().ok()) return table.Prepare(context, choice);
  std::unique_ptr<Kernel> best;
  Winner winner{"", INFINITY};
  for (const KernelTable::Ranked& r : *ranked) {
    absl::StatusOr<std::unique_ptr<Kernel>> kernel = r.candidate->prepare(context);
    if (absl::IsUnimplemented(kernel.status())) {
      notes.push_back(absl::StrCat(r.candidate->name, ": ", kernel.status().message()));
      continue;
    }
    if (!kernel.ok())
      return NodeError(context.node, kernel.status().code(), kernel.status().message());
    if ((*kernel)->dynamic_outputs()) return table.Prepare(context, choice);
    absl::StatusOr<double> took = bench.Time(**kernel, winner.nanoseconds);
    if (!took.ok()) return table.Prepare(context, choice);  // the data it wants is not ours to make
    notes.push_back(absl::StrCat(r.candidate->name, " measured ", FormatNanoseconds(*took)));
    if (*took >= winner.nanoseconds) continue;
    winner = {r.candidate->name, *took};
    best = *std::move(kernel);
  }
  if (best == nullptr) return table.Prepare(context, choice);
  *choice = absl::StrJoin(notes, "; ");
  winners_[key] = winner;
  changed_ = true;
  return best;
}

absl::Status Tuner::Write() const {
  absl::StatusOr<Winners> all = Read(path_);
  if (!all.ok()) return all.status();
  for (const auto& [key, winner] : winners_) (*all)[key] = winner;
  std::string text = absl::StrCat(kHeader, "\n");
  for (const auto& [key, winner] : *all)
    absl::StrAppend(&text, key, Format("\t%.0f\t", winner.nanoseconds), winner.candidate, "\n");
  absl::StrAppend(&text, "end\t", all->size(), "\n");
  return Replace(path_, text);
}

void Tuner::Save() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!changed_) return;
  const absl::Status status = Write();
  changed_ = !status.ok();
  if (status.ok() || warn_ == nullptr || warned_) return;
  warned_ = true;
  warn_(absl::StrCat("what was measured is not kept: ", status.message()));
}

}  // namespace sluice
