// With libFuzzer: the seeds go into the folder SLUICE_FUZZ_SEEDS names, before anything else.
#include <fstream>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("SLUICE_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  int i = 0;
  for (const std::string& seed : sluice::fuzz::Seeds()) {
    std::ofstream(std::string(folder) + "/seed-" + std::to_string(i++), std::ios::binary) << seed;
  }
  return 0;
}
