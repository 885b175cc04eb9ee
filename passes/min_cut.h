// The cheapest way to cut a network in two: which side each node is on, so that the edges that lead
// from the source's side to the sink's cost the least together (Dinic's maximum flow).
#ifndef SLUICE_PASSES_MIN_CUT_H_
#define SLUICE_PASSES_MIN_CUT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

class MinCut {
 public:
  static constexpr int kSource = 0, kSink = 1;
  static constexpr int64_t kNever = int64_t{1} << 60;  // an edge that is not cut

  int AddNode() {
    edges_of_.emplace_back();
    return static_cast<int>(edges_of_.size()) - 1;
  }
  // Costs `cost` >= 0 where `from` is on the source's side and `to` on the sink's.
  void AddEdge(int from, int to, int64_t cost);

  // For each node, whether it is on the source's side; of several cheapest cuts, the one with the
  // fewest nodes there. Call it once.
  std::vector<bool> SourceSide();

 private:
  struct Edge {
    int to;
    int64_t left;  // what may still flow
  };
  bool FindLevels();
  bool Augment();  // one path along the levels; false: there is none

  std::vector<Edge> edges_;  // edge i and its reverse i ^ 1
  std::vector<std::vector<int>> edges_of_ = std::vector<std::vector<int>>(2);
  std::vector<int> level_;
  std::vector<size_t> next_;
};

}  // namespace sluice

#endif  // SLUICE_PASSES_MIN_CUT_H_
