// The cases of a .sluice file:
//
//   // case: name                 a name, words joined by underscores
//   // passes: a, b               what to run (default: the pass the file is named after)
//   // refuses: Gelu, FusedConv   ops that no kernel takes in this case
//   // result_bytes: 100          budgets of constant folding; total_bytes likewise
//   // reason: text               some place was refused for a reason that contains this
//   // dims: n = 4, m = 2         what symbols stand for when both graphs run (default: 2, 3, ...)
//   // numbers: no, WHY           the graphs cannot run
//   before
//   graph ... { ... }
//   after                         or `unchanged`, with no graph below
//   graph ... { ... }
#ifndef SLUICE_TESTS_PASSES_CASE_FILE_H_
#define SLUICE_TESTS_PASSES_CASE_FILE_H_

#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace sluice {

struct PassCase {
  std::string file, name;
  std::string before, after;  // `after` is empty where nothing changes
  std::map<std::string, std::string> options;

  std::string Option(const std::string& key, const std::string& otherwise = "") const;
  std::vector<std::string> List(const std::string& key, const std::string& otherwise = "") const;
};

inline void PrintTo(const PassCase& c, std::ostream* out) { *out << c.file << " " << c.name; }

// Every case of every .sluice file in `folder`; a file that is no case file gives a case of that
// error's name with no graph, so that it fails loudly.
std::vector<PassCase> ReadCases(const std::string& folder);

}  // namespace sluice

#endif  // SLUICE_TESTS_PASSES_CASE_FILE_H_
