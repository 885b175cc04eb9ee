#include "tools/cli.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "exchange/model.h"
#include "exchange/npy.h"
#include "exchange/tensor_proto.h"
#include "graph/default_inputs.h"
#include "graph/scalar_text.h"
#include "graph/text.h"

namespace sluice::cli {

absl::StatusOr<std::map<std::string, std::string>> ParsePairs(const std::vector<std::string>& pairs,
                                                              absl::string_view option) {
  std::map<std::string, std::string> map;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(option, " takes NAME=VALUE, not ", Shown(pair)));
    }
    map[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return map;
}

absl::StatusOr<std::unique_ptr<Graph>> ReadWithPacked(const std::string& path,
                                                      SessionOptions* options) {
  auto packed = std::make_shared<PackedSet>();
  ReadOptions read;
  read.packed = packed.get();
  absl::StatusOr<std::unique_ptr<Graph>> graph = ReadModel(path, read);
  if (!packed->key.empty()) options->packed = std::move(packed);
  return graph;
}

std::string Printable(absl::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const unsigned char c = static_cast<unsigned char>(text[0]);
    const size_t length = c >= 0x80 ? PrintableUtf8(text) : (c >= 0x20 && c != 0x7f) || c == '\n';
    if (length == 0) absl::StrAppend(&printable, "\\x", absl::Hex(c, absl::kZeroPad2));
    printable.append(text.data(), length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return printable;
}

void Progress::Show(const std::string& text) {
  if (!isatty(STDERR_FILENO)) return;
  std::fprintf(stderr, "\r%-*s", static_cast<int>(width_), Printable(text).c_str());
  width_ = std::max(width_, text.size());
}

Progress::~Progress() {
  if (width_ > 0) std::fprintf(stderr, "\r%*s\r", static_cast<int>(width_), "");
}

absl::StatusOr<Tensor> ReadTensorFile(const std::string& path) {
  return absl::EndsWith(path, ".npy") ? ReadNpy(path) : ReadTensorPb(path);
}

absl::StatusOr<std::string> WriteTensorFile(const Tensor& tensor, const std::string& name,
                                            const std::string& stem) {
  const bool npy = tensor.dtype() != DType::kBF16 && tensor.dtype() != DType::kString;
  const std::string path = absl::StrCat(stem, npy ? ".npy" : ".pb");
  absl::Status s = npy ? WriteNpy(tensor, path) : WriteTensorPb(tensor, name, path);
  if (!s.ok()) return s;
  return path;
}

void SessionFlags::AddTo(CLI::App* command, bool with_passes) {
  command->add_option("--threads", threads, "Threads (default: every core)")->type_name("N");
  if (with_passes) command->add_flag("--no-passes", plain, "Run without optimisation");
  command->add_flag("--deterministic", deterministic,
                    "The same bits whatever the number of threads");
  command->add_flag("--strict", strict,
                    "Each operation as the model has it, none rounded or overflowing elsewhere "
                    "(no folded scales, no Winograd): slower, a little closer");
  command
      ->add_option("--tune", tuning_cache,
                   "Choose kernels by trying them, and keep the winners in this file")
      ->type_name("FILE")
      ->excludes("--deterministic");
}

SessionOptions SessionFlags::Options() const {
  SessionOptions options{.threads = threads, .deterministic = deterministic};
  options.passes.enabled = !plain;
  options.accuracy = strict ? Accuracy::kStrict : Accuracy::kStandard;
  options.tuning_cache = tuning_cache;
  options.warn = [](absl::string_view line) {
    std::fprintf(stderr, "warning: %s\n", Printable(line).c_str());
  };
  return options;
}

void InputOptions::AddTo(CLI::App* command, bool with_batch) {
  command->add_option("--input", files, "Feed one input from a .npy or .pb file")
      ->type_name("NAME=FILE")
      ->take_all();
  command
      ->add_option("--inputs", folder, "Feed the inputs in order from DIR/input_0.npy or .pb, ...")
      ->type_name("DIR");
  command->add_option("--dim", dims, "The number for a symbol of generated inputs (default 1)")
      ->type_name("NAME=N")
      ->take_all();
  if (with_batch) {
    command
        ->add_option("--batch", batch, "Repeat the inputs along the first dimension where it is 1")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
  }
}

std::vector<Session::Port> PortsOf(const Graph& graph) {
  std::vector<Session::Port> ports;
  for (const GraphInput& input : AllInputs(graph))
    ports.push_back({input.value->name(), input.type, input.has_default});
  return ports;
}

absl::StatusOr<std::vector<Tensor>> ReadNumbered(const std::string& folder,
                                                 const std::string& kind) {
  std::vector<Tensor> tensors;
  for (int i = 0;; ++i) {
    std::string found;
    for (const char* ending : {".npy", ".pb"}) {
      const std::string path = absl::StrCat(folder, "/", kind, "_", i, ending);
      struct stat status;
      if (stat(path.c_str(), &status) == 0) found = path;
    }
    if (found.empty()) return tensors;
    absl::StatusOr<Tensor> t = ReadTensorFile(found);
    if (!t.ok()) return t.status();
    tensors.push_back(*std::move(t));
  }
}

namespace {

// Plausible contents: numbers in [-1, 1), integers 0 or 1 (always legal as an index or a mask).
absl::StatusOr<Tensor> Generate(const Session::Port& port,
                                const std::map<std::string, int64_t>& dims, uint64_t seed,
                                std::string* line) {
  if (!port.type.is_tensor() || !port.type.has_shape()) {
    return absl::InvalidArgumentError(
        absl::StrCat("input ", Shown(port.name), " of type ", port.type.ToString(),
                     " cannot be generated; feed it with --input ", port.name, "=FILE"));
  }
  Bindings bindings;
  std::vector<std::string> symbols;
  for (const Dim& d : port.type.shape()) d.CollectSymbols(&symbols);
  for (const std::string& s : symbols) {
    auto it = dims.find(s);
    bindings[s] = it == dims.end() ? 1 : it->second;
  }
  Dims extents;
  for (const Dim& d : port.type.shape()) {
    std::optional<int64_t> n = d.is_unknown() ? 1 : d.Evaluate(bindings);
    if (!n.has_value() || *n < 0) {
      return absl::InvalidArgumentError(absl::StrCat("input ", Shown(port.name), ": extent ",
                                                     d.ToString(), " has no value; give --dim"));
    }
    extents.push_back(*n);
  }
  RandomSpec spec{.seed = seed, .scale = IsInt(port.type.dtype()) ? 2.0 : 1.0};
  absl::StatusOr<Tensor> t = port.type.dtype() == DType::kString
                                 ? Tensor::Allocate(DType::kString, extents)
                                 : Tensor::Random(port.type.dtype(), extents, spec);
  if (t.ok()) *line = absl::StrCat("generated ", Escaped(port.name), ": ", t->TypeString());
  return t;
}

absl::StatusOr<Tensor> RepeatBatch(const Tensor& t, int64_t batch) {
  if (batch <= 0 || t.rank() == 0 || t.dims()[0] != 1 || t.dtype() == DType::kString) return t;
  Dims dims(t.dims().begin(), t.dims().end());
  dims[0] = batch;
  absl::StatusOr<Tensor> repeated = Tensor::Allocate(t.dtype(), dims);
  if (!repeated.ok()) return repeated;
  for (int64_t i = 0; i < batch; ++i)
    std::memcpy(repeated->mutable_data<char>() + i * t.bytes(), t.raw(), t.bytes());
  return repeated;
}

}  // namespace

absl::StatusOr<Inputs> LoadInputs(const std::vector<Session::Port>& ports,
                                  const InputOptions& options) {
  absl::StatusOr<std::map<std::string, std::string>> files = ParsePairs(options.files, "--input");
  if (!files.ok()) return files.status();
  absl::StatusOr<std::map<std::string, std::string>> dim_texts = ParsePairs(options.dims, "--dim");
  if (!dim_texts.ok()) return dim_texts.status();
  std::map<std::string, int64_t> dims;
  for (const auto& [name, text] : *dim_texts) {
    if (!absl::SimpleAtoi(text, &dims[name]) || dims[name] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--dim ", name, "=", text, ": not a number of elements"));
    }
  }
  const size_t needed =
      std::count_if(ports.begin(), ports.end(), [](const auto& port) { return !port.has_default; });
  std::vector<Tensor> numbered;
  if (!options.folder.empty()) {
    absl::StatusOr<std::vector<Tensor>> read = ReadNumbered(options.folder, "input");
    if (!read.ok()) return read.status();
    numbered = *std::move(read);
    if (numbered.empty() && needed > 0)
      return absl::NotFoundError(
          absl::StrCat(options.folder, " holds no input_0.npy or input_0.pb"));
    if (numbered.size() > ports.size()) {
      return absl::InvalidArgumentError(absl::StrCat(options.folder, " holds ", numbered.size(),
                                                     " inputs, the model takes ", ports.size()));
    }
  }
  // Files in order are for all inputs, or, where there are no more of them, for those without a
  // default.
  const bool for_all = numbered.size() > needed;
  Inputs inputs;
  size_t next = 0;  // of `numbered`
  for (size_t i = 0; i < ports.size(); ++i) {
    absl::StatusOr<Tensor> t;
    const Tensor* in_order = nullptr;
    if ((for_all || !ports[i].has_default) && next < numbered.size()) in_order = &numbered[next++];
    auto it = files->find(ports[i].name);
    if (it != files->end()) {
      t = ReadTensorFile(it->second);
      files->erase(it);
    } else if (in_order != nullptr) {
      t = *in_order;
    } else if (ports[i].has_default) {
      continue;
    } else {
      std::string line;
      t = Generate(ports[i], dims, i + 1, &line);
      inputs.generated.push_back(line);
    }
    if (!t.ok()) return t.status();
    t = RepeatBatch(*t, options.batch);
    if (!t.ok()) return t.status();
    inputs.feeds.push_back({ports[i].name, *std::move(t)});
  }
  if (!files->empty()) {
    return absl::NotFoundError(
        absl::StrCat("--input ", files->begin()->first, ": the model has no such input"));
  }
  return inputs;
}

}  // namespace sluice::cli
