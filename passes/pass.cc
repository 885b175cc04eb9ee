#include "passes/pass.h"

namespace sluice {

void PassContext::Applied(const char* pass, const Node& node, absl::string_view what) {
  if (findings != nullptr) findings->push_back({pass, node.name(), true, std::string(what)});
}

void PassContext::Refused(const char* pass, const Node& node, absl::string_view reason) {
  if (findings != nullptr) findings->push_back({pass, node.name(), false, std::string(reason)});
}

}  // namespace sluice
