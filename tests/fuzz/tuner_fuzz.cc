// Any bytes as a cache of kernel trials: read, refused, or made anew.
#include "runtime/tuner.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

void One(const MemoryFile& file) {
  static ThreadPool* const pool = new ThreadPool(1);
  auto tuner = Tuner::Open(file.path(), pool, nullptr);
  if (Fine(tuner.status())) Require(*tuner != nullptr, "no tuner and no error");
}

}  // namespace

std::vector<std::string> Seeds() {
  const std::string head = "sluice tuning 1\n", key = "0123456789abcdef0123456789abcdef";
  return {head + "end\t0\n", head + key + "\t1234.5\tonednn\nend\t1\n",
          head + key + "\t1e300\twinograd 4x4\nend\t1\n", "sluice tuning 2\nend\t0\n", "%PDF-1.4"};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::One(sluice::fuzz::MemoryFile(data, size));
  return 0;
}
