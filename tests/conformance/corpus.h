// The ONNX conformance cases on disk, and what came of running one.
#ifndef SLUICE_TESTS_CONFORMANCE_CORPUS_H_
#define SLUICE_TESTS_CONFORMANCE_CORPUS_H_

#include <map>
#include <string>
#include <vector>

namespace sluice {

// "node/test_abs", ...: the folders of `root` (SLUICE_CORPUS) that hold a model.onnx, sorted.
std::vector<std::string> ListCases(const std::string& root);

// "passed", or "not yet: " and a reason that names missing ops or the step that failed. Outputs are
// compared as ONNX does: |a - b| <= 1e-7 + 1e-3 |b| for floats, else exactly.
std::string RunCase(const std::string& root, const std::string& name);

// The same after the case's model was optimised, written, read and optimised again; the whole
// message where that failed or changed something.
std::string ReopenCase(const std::string& root, const std::string& name);

// The ledger: one line a case, "<name> <result>". Lines that begin with # are comments.
std::map<std::string, std::string> ReadLedger(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_TESTS_CONFORMANCE_CORPUS_H_
