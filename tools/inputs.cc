// Where the inputs of a command come from: files, a folder, or a generator.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "graph/default_inputs.h"
#include "graph/text.h"
#include "tools/cli.h"

namespace sluice::cli {

void InputOptions::AddTo(CLI::App* command, bool with_batch) {
  command->add_option("--input", files, "Feed one input from a .npy or .pb file")
      ->type_name("NAME=FILE")
      ->check(NotEmpty())
      ->take_all();
  command
      ->add_option("--inputs", folder, "Feed the inputs in order from DIR/input_0.npy or .pb, ...")
      ->type_name("DIR")
      ->check(NotEmpty());
  AddDim(command, &dims);
  if (with_batch) {
    command
        ->add_option("--batch", batch, "Repeat the inputs along the first dimension where it is 1")
        ->type_name("N")
        ->check(WholeNumber(1, 1'000'000'000));
  }
}

void AddDim(CLI::App* command, std::vector<std::string>* dims) {
  command->add_option("--dim", *dims, "The number for a symbol of generated inputs (default 1)")
      ->type_name("NAME=N")
      ->check(NotEmpty())
      ->take_all();
}

std::vector<Session::Port> PortsOf(const Graph& graph) {
  std::vector<Session::Port> ports;
  for (const GraphInput& input : AllInputs(graph))
    ports.push_back({input.value->name(), input.type, input.has_default});
  return ports;
}

absl::StatusOr<std::vector<Tensor>> ReadNumbered(const std::string& folder,
                                                 const std::string& kind) {
  // By number: what is out of the row would else be passed over in silence.
  std::map<int64_t, std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    absl::string_view number = name;
    int64_t i = 0;
    if (!absl::ConsumePrefix(&number, kind + "_") ||
        !(absl::ConsumeSuffix(&number, ".npy") || absl::ConsumeSuffix(&number, ".pb")) ||
        !absl::SimpleAtoi(number, &i) || i < 0)
      continue;
    if (const auto [there, fresh] = paths.emplace(i, it->path().string()); !fresh) {
      return absl::InvalidArgumentError(absl::StrCat(Quote(there->second), " and ",
                                                     Quote(it->path().string()),
                                                     " are the same tensor; remove one"));
    }
  }
  if (error)
    return absl::NotFoundError(absl::StrCat("cannot read ", Quote(folder), ": ", error.message()));
  std::vector<Tensor> tensors;
  for (const auto& [i, path] : paths) {
    if (i != static_cast<int64_t>(tensors.size())) {
      return absl::NotFoundError(absl::StrCat(Quote(folder), " holds ", kind, "_", i, ", but no ",
                                              kind, "_", tensors.size()));
    }
    absl::StatusOr<Tensor> t = ReadTensorFile(path);
    if (!t.ok()) return t.status();
    tensors.push_back(*std::move(t));
  }
  return tensors;
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

// Whether it has a batch to repeat.
bool TakesBatch(const Tensor& t, int64_t batch) {
  return t.rank() > 0 && (t.dims()[0] == 1 || t.dims()[0] == batch) && t.dtype() != DType::kString;
}

absl::StatusOr<Tensor> RepeatBatch(const Tensor& t, int64_t batch) {
  if (t.dims()[0] == batch) return t;
  Dims dims(t.dims().begin(), t.dims().end());
  dims[0] = batch;
  absl::StatusOr<Tensor> repeated = Tensor::Allocate(t.dtype(), dims);
  if (!repeated.ok()) return repeated;
  for (int64_t i = 0; i < batch; ++i)
    std::memcpy(repeated->mutable_data<char>() + i * t.bytes(), t.raw(), t.bytes());
  return repeated;
}

absl::StatusOr<std::map<std::string, int64_t>> ParseDims(const std::vector<std::string>& options) {
  absl::StatusOr<std::map<std::string, std::string>> texts = ParsePairs(options, "--dim");
  if (!texts.ok()) return texts.status();
  std::map<std::string, int64_t> dims;
  for (const auto& [name, text] : *texts) {
    if (!absl::SimpleAtoi(text, &dims[name]) || dims[name] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--dim ", name, "=", text, ": not a number of elements"));
    }
  }
  return dims;
}

// An extent for a symbol that no generated input has would change nothing.
absl::Status CheckDims(const std::map<std::string, int64_t>& dims,
                       const std::vector<std::string>& symbols) {
  const std::set<std::string> used(symbols.begin(), symbols.end());
  for (const auto& [name, extent] : dims) {
    if (used.contains(name)) continue;
    return absl::NotFoundError(
        absl::StrCat("--dim ", name, "=", extent, ": no generated input has a dimension ",
                     Shown(name), used.empty() ? "" : "; there are ", absl::StrJoin(used, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Inputs> LoadInputs(const std::vector<Session::Port>& ports,
                                  const InputOptions& options) {
  absl::StatusOr<std::map<std::string, std::string>> files = ParsePairs(options.files, "--input");
  if (!files.ok()) return files.status();
  absl::StatusOr<std::map<std::string, int64_t>> dims = ParseDims(options.dims);
  if (!dims.ok()) return dims.status();
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
  size_t next = 0;                   // of `numbered`
  std::vector<std::string> symbols;  // of generated inputs
  bool repeated = false;
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
      t = Generate(ports[i], *dims, i + 1, &line);
      if (!t.ok()) return t.status();
      inputs.generated.push_back(line);
      for (const Dim& d : ports[i].type.shape()) d.CollectSymbols(&symbols);
    }
    if (!t.ok()) return t.status();
    if (options.batch > 0 && TakesBatch(*t, options.batch)) {
      t = RepeatBatch(*t, options.batch);
      if (!t.ok()) return t.status();
      repeated = true;
    }
    inputs.feeds.push_back({ports[i].name, *std::move(t)});
  }
  if (!files->empty()) {
    return absl::NotFoundError(
        absl::StrCat("--input ", files->begin()->first, ": the model has no such input"));
  }
  if (absl::Status s = CheckDims(*dims, symbols); !s.ok()) return s;
  if (options.batch > 0 && !repeated) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--batch ", options.batch, ": no input has a first dimension of 1 that could be repeated"));
  }
  return inputs;
}

}  // namespace sluice::cli
