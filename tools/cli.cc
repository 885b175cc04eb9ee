#include "tools/cli.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/version.h"
#include "exchange/formats.h"
#include "exchange/npy.h"
#include "exchange/tensor_proto.h"
#include "graph/scalar_text.h"
#include "graph/text.h"
#include "kernels/cpu/cpu_kernels.h"

namespace sluice::cli {

std::string Version() {
  return absl::StrCat("sluice ", sluice::Version(), ", kernels ", CpuKernelsVersion());
}

CLI::Validator WholeNumber(int64_t least, int64_t most) {
  return CLI::Validator(
      [=](const std::string& text) {
        int64_t n = 0;
        if (absl::SimpleAtoi(text, &n) && n >= least && n <= most) return std::string();
        return absl::StrCat("takes a whole number, ", least,
                            most == INT64_MAX ? " or more" : absl::StrCat(" to ", most), ", not ",
                            Shown(text));
      },
      "");
}

CLI::Validator Number(double least, double most) {
  return CLI::Validator(
      [=](const std::string& text) {
        double x = 0;
        if (absl::SimpleAtod(text, &x) && x >= least && x <= most) return std::string();
        return absl::StrCat("takes a number, ", least, " to ", most, ", not ", Shown(text));
      },
      "");
}

CLI::Validator NotEmpty() {
  return CLI::Validator(
      [](const std::string& text) {
        return text.empty() ? std::string("takes a name that is not empty") : std::string();
      },
      "");
}

absl::StatusOr<std::map<std::string, std::string>> ParsePairs(const std::vector<std::string>& pairs,
                                                              absl::string_view option) {
  std::map<std::string, std::string> map;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(option, " takes NAME=VALUE, not ", Shown(pair)));
    }
    const std::string name = pair.substr(0, equals);
    if (!map.emplace(name, pair.substr(equals + 1)).second)
      return absl::InvalidArgumentError(absl::StrCat(option, " ", Shown(name), " is given twice"));
  }
  return map;
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
  absl::StatusOr<Sight> sight = LookAt(path);
  if (!sight.ok()) return sight.status();
  if (absl::EndsWith(path, ".npy") || sight->Holds("\x93NUMPY")) return ReadNpy(path);
  const Format* format = Recognize(*sight);
  if (format != nullptr && format->sniff(*sight) == Likeness::kCertain) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(path), " is ", format->name,
                     "; expected a tensor, as npy or as ONNX's TensorProto (.pb)"));
  }
  return ReadTensorPb(path);
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
  command->add_option("--threads", threads, "Threads (default: every core)")
      ->type_name("N")
      ->check(WholeNumber(0, SessionOptions::kMaxThreads));
  if (with_passes) {
    command->add_flag("--no-passes", plain, "Run without optimisation");
    command
        ->add_option("--signature", signature,
                     "Which of the model's programs; needed where it has several (`sluice show`)")
        ->type_name("NAME")
        ->check(NotEmpty());
  }
  command->add_flag("--deterministic", deterministic,
                    "The same bits whatever the number of threads");
  command->add_option("--seed", seed, "Of random numbers (default: one is drawn for each session)")
      ->type_name("N");
  command->add_flag("--strict", strict,
                    "Each operation as the model has it, none rounded or overflowing elsewhere "
                    "(no folded scales, no Winograd): slower, a little closer");
  command
      ->add_option("--tune", tuning_cache,
                   "Choose kernels by trying them, and keep the winners in this file")
      ->type_name("FILE")
      ->check(NotEmpty())
      ->excludes("--deterministic");
}

SessionOptions SessionFlags::Options() const {
  SessionOptions options{.threads = threads, .deterministic = deterministic};
  options.seed = seed;
  options.passes.enabled = !plain;
  options.accuracy = strict ? Accuracy::kStrict : Accuracy::kStandard;
  options.tuning_cache = tuning_cache;
  options.warn = [](absl::string_view line) {
    std::fprintf(stderr, "warning: %s\n", Printable(line).c_str());
  };
  return options;
}

}  // namespace sluice::cli
