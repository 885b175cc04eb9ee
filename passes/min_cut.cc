#include "passes/min_cut.h"

#include <algorithm>

namespace sluice {

void MinCut::AddEdge(int from, int to, int64_t cost) {
  edges_of_[static_cast<size_t>(from)].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({to, cost});
  edges_of_[static_cast<size_t>(to)].push_back(static_cast<int>(edges_.size()));
  edges_.push_back({from, 0});
}

bool MinCut::FindLevels() {
  level_.assign(edges_of_.size(), -1);
  level_[kSource] = 0;
  std::vector<int> open = {kSource};
  for (size_t i = 0; i < open.size(); ++i) {
    for (int e : edges_of_[static_cast<size_t>(open[i])]) {
      const Edge& edge = edges_[static_cast<size_t>(e)];
      int& level = level_[static_cast<size_t>(edge.to)];
      if (edge.left == 0 || level >= 0) continue;
      level = level_[static_cast<size_t>(open[i])] + 1;
      open.push_back(edge.to);
    }
  }
  return level_[kSink] >= 0;
}

bool MinCut::Augment() {
  std::vector<int> path;  // edges from the source on
  int at = kSource;
  while (at != kSink) {
    const size_t node = static_cast<size_t>(at);
    bool forward = false;
    for (; next_[node] < edges_of_[node].size(); ++next_[node]) {
      const int e = edges_of_[node][next_[node]];
      const Edge& edge = edges_[static_cast<size_t>(e)];
      if (edge.left == 0 || level_[static_cast<size_t>(edge.to)] != level_[node] + 1) continue;
      path.push_back(e);
      at = edge.to;
      forward = true;
      break;
    }
    if (forward) continue;
    if (path.empty()) return false;
    at = edges_[static_cast<size_t>(path.back() ^ 1)].to;  // a dead end: step back, past it
    path.pop_back();
    ++next_[static_cast<size_t>(at)];
  }
  int64_t flow = kNever;
  for (int e : path) flow = std::min(flow, edges_[static_cast<size_t>(e)].left);
  for (int e : path) {
    edges_[static_cast<size_t>(e)].left -= flow;
    edges_[static_cast<size_t>(e ^ 1)].left += flow;
  }
  return true;
}

std::vector<bool> MinCut::SourceSide() {
  while (FindLevels()) {
    next_.assign(edges_of_.size(), 0);
    while (Augment()) {
    }
  }
  std::vector<bool> side;
  for (int level : level_) side.push_back(level >= 0);
  return side;
}

}  // namespace sluice
