#include "tests/passes/case_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace sluice {

std::string PassCase::Option(const std::string& key, const std::string& otherwise) const {
  auto it = options.find(key);
  return it == options.end() ? otherwise : it->second;
}

std::vector<std::string> PassCase::List(const std::string& key,
                                        const std::string& otherwise) const {
  std::vector<std::string> items;
  for (absl::string_view item :
       absl::StrSplit(Option(key, otherwise), ',', absl::SkipWhitespace())) {
    items.emplace_back(absl::StripAsciiWhitespace(item));
  }
  return items;
}

std::vector<PassCase> ReadCases(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".sluice") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  std::vector<PassCase> cases;
  for (const std::string& path : files) {
    const std::string file = std::filesystem::path(path).stem().string();
    std::ifstream in(path);
    std::string line, *text = nullptr;
    const size_t first = cases.size();
    while (std::getline(in, line)) {
      absl::string_view rest = line;
      if (absl::ConsumePrefix(&rest, "// case: ")) {
        cases.push_back({.file = file, .name = std::string(absl::StripAsciiWhitespace(rest))});
        text = nullptr;
      } else if (cases.size() == first) {
        continue;  // the file's heading
      } else if (line == "before") {
        text = &cases.back().before;
      } else if (line == "after") {
        text = &cases.back().after;
      } else if (line == "unchanged") {
        text = nullptr;
      } else if (text != nullptr) {
        absl::StrAppend(text, line, "\n");
      } else if (absl::ConsumePrefix(&rest, "// ")) {
        const std::pair<absl::string_view, absl::string_view> option =
            absl::StrSplit(rest, absl::MaxSplits(": ", 1));
        cases.back().options[std::string(option.first)] =
            std::string(absl::StripAsciiWhitespace(option.second));
      }
    }
    if (cases.size() == first) cases.push_back({.file = file, .name = "has_no_cases"});
  }
  return cases;
}

}  // namespace sluice
