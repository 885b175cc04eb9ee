// Without libFuzzer: the seeds, and mutations of them by a fixed generator; the arguments are files
// to run instead, such as crashes that tools/fuzz kept. SLUICE_FUZZ_MUTATIONS changes how many.
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/fuzz.h"

namespace {

void Run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

// Bits, bytes, numbers of extreme size, cuts, and parts of another seed.
std::string Mutated(std::string s, const std::vector<std::string>& seeds, std::mt19937* random) {
  auto below = [&](size_t n) { return n == 0 ? 0 : (*random)() % n; };
  for (size_t times = 1 + below(4); times > 0; --times) {
    const size_t at = below(s.size() + 1);
    const std::string& other = seeds[below(seeds.size())];
    switch (below(6)) {
      case 0:
        s.resize(at);
        break;
      case 1:
        if (at < s.size()) s[at] = static_cast<char>(s[at] ^ (1 << below(8)));
        break;
      case 2:
        if (at < s.size()) s[at] = static_cast<char>((*random)());
        break;
      case 3:
        s.replace(at, std::min(below(9), s.size() - at), std::string(1 + below(9), '\xff'));
        break;
      case 4:
        s.insert(at, other.substr(below(other.size()), below(64)));
        break;
      default:
        s.erase(at, below(16));
    }
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    Run(std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()));
  }
  if (argc > 1) return 0;
  const std::vector<std::string> seeds = sluice::fuzz::Seeds();
  sluice::fuzz::Require(!seeds.empty(), "no seeds");
  for (const std::string& seed : seeds) Run(seed);
  Run("");
  const char* more = std::getenv("SLUICE_FUZZ_MUTATIONS");
  const int mutations = more != nullptr ? std::atoi(more) : 3000;
  std::mt19937 random(1);
  for (int i = 0; i < mutations; ++i) Run(Mutated(seeds[random() % seeds.size()], seeds, &random));
  std::printf("%zu seeds, %d mutations\n", seeds.size(), mutations);
  return 0;
}
