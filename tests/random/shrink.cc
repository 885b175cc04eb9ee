#include "tests/random/shrink.h"

#include <algorithm>
#include <set>

#include "graph/effects.h"
#include "graph/infer.h"
#include "graph/patch.h"

namespace sluice::random {
namespace {

std::vector<Node*> AllNodes(const Graph& graph) {
  std::vector<Node*> nodes;
  for (const auto& node : graph.nodes()) {
    nodes.push_back(node.get());
    for (const auto& [name, body] : node->bodies()) {
      for (Node* inner : AllNodes(*body)) nodes.push_back(inner);
    }
  }
  return nodes;
}

// What symbols stand for in a run.
Bindings BindingsOf(const Case& c, size_t run) {
  Bindings bindings;
  for (const auto& [name, tensor] : c.feeds[run]) {
    const Value* v = c.graph->FindValue(name);
    if (v == nullptr || !v->type().has_shape()) continue;
    for (int i = 0; i < v->type().rank(); ++i) {
      if (const auto symbol = v->type().dim(i).AsSymbol()) bindings[*symbol] = tensor.dims()[i];
    }
  }
  return bindings;
}

// The first `dims` elements along each axis.
Tensor Cut(const Tensor& t, const Dims& dims) {
  Tensor made = *Tensor::Allocate(t.dtype(), dims);
  std::vector<int64_t> at(dims.size(), 0);
  for (int64_t i = 0; i < made.elements(); ++i) {
    int64_t from = 0;
    for (size_t a = 0; a < dims.size(); ++a) from = from * t.dims()[a] + at[a];
    VisitDType(
        t.dtype(), [&]<typename T>() { made.mutable_data<T>()[i] = t.data<T>()[from]; },
        [&] { made.mutable_data<std::string>()[i] = t.data<std::string>()[from]; });
    for (size_t a = dims.size(); a-- > 0;) {
      if (++at[a] < dims[a]) break;
      at[a] = 0;
    }
  }
  return made;
}

Tensor Simple(const Type& type, const Dims& dims, uint64_t seed) {
  const DType d = type.dtype();
  if (d == DType::kString) return *Tensor::Allocate(d, dims);
  return *Tensor::Random(d, dims, {.seed = seed, .scale = IsInt(d) ? 2.0 : 1.0});
}

// Types anew, dead nodes and unread inputs out; false where the edit made no legal graph.
bool Settle(Case* c) {
  for (bool more = true; more;) {
    more = false;
    std::vector<Node*> nodes = AllNodes(*c->graph);
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      Node* node = *it;
      bool used = HasEffects(*node);
      for (size_t i = 0; i < node->num_outputs(); ++i) used |= node->output(i)->used();
      if (used || !node->control_uses().empty()) continue;
      node->graph()->EraseNode(node);
      more = true;
      break;  // bodies may have gone with it
    }
  }
  std::vector<Value*> unread;
  for (Value* v : c->graph->inputs()) {
    if (!v->used()) unread.push_back(v);
  }
  for (Value* v : unread) {
    for (Feeds& feeds : c->feeds)
      std::erase_if(feeds, [&](const auto& f) { return f.first == v->name(); });
    c->graph->EraseInput(v);
  }
  for (Node* node : AllNodes(*c->graph)) {
    for (size_t i = 0; i < node->num_outputs(); ++i) node->output(i)->set_type(Type());
    for (const auto& [name, body] : node->bodies()) {
      for (Value* v : body->inputs()) v->set_type(Type());
    }
  }
  return c->graph->SortTopologically().ok() && InferTypes(c->graph.get()).ok() &&
         Verify(*c->graph).ok();
}

class Shrinker {
 public:
  Shrinker(const Case& c, const std::function<bool(const Case&)>& fails, int tries)
      : case_(Copied(c)), fails_(fails), tries_(tries) {}

  Case Run() {
    for (bool better = true; better && tries_ > 0;) {
      better = false;
      better |= Outputs();
      better |= Runs();
      better |= Nodes();
      better |= Extents();
      better |= Constants();
      better |= Attributes();
      better |= FedNumbers();
    }
    return std::move(case_);
  }

 private:
  // Keeps what `edit` makes of a copy where that fails too.
  bool Try(const std::function<bool(Case*)>& edit) {
    if (tries_ <= 0) return false;
    Case candidate = Copied(case_);
    if (!edit(&candidate) || !Settle(&candidate) || candidate.graph->outputs().empty())
      return false;
    --tries_;
    if (!fails_(candidate)) return false;
    case_ = std::move(candidate);
    return true;
  }

  bool Outputs() {
    auto keep = [](Case* c, const std::set<size_t>& kept) {
      std::vector<std::pair<Value*, std::string>> all;
      for (size_t i = 0; i < c->graph->outputs().size(); ++i) {
        if (kept.contains(i)) all.push_back({c->graph->outputs()[i], c->graph->output_names()[i]});
      }
      c->graph->ClearOutputs();
      for (const auto& [value, name] : all) c->graph->AddOutput(value, name);
      return true;
    };
    const size_t n = case_.graph->outputs().size();
    for (size_t i = 0; i < n && n > 1; ++i) {
      if (Try([&](Case* c) { return keep(c, {i}); })) return true;
    }
    bool better = false;
    for (size_t i = n; i-- > 0 && case_.graph->outputs().size() > 2;) {
      better |= Try([&](Case* c) {
        std::set<size_t> kept;
        for (size_t k = 0; k < c->graph->outputs().size(); ++k) {
          if (k != i) kept.insert(k);
        }
        return keep(c, kept);
      });
    }
    return better;
  }

  bool Runs() {
    for (size_t i = 0; i < case_.feeds.size() && case_.feeds.size() > 1; ++i) {
      if (Try([&](Case* c) {
            c->feeds = {c->feeds[i]};
            return true;
          }))
        return true;
    }
    bool better = false;
    for (size_t i = case_.feeds.size(); i-- > 0 && case_.feeds.size() > 2;) {
      better |= Try([&](Case* c) {
        c->feeds.erase(c->feeds.begin() + static_cast<int64_t>(i));
        return true;
      });
    }
    return better;
  }

  bool Nodes() {
    bool better = false;
    for (size_t i = AllNodes(*case_.graph).size(); i-- > 0;) {
      const std::vector<Node*> nodes = AllNodes(*case_.graph);
      if (i >= nodes.size()) continue;
      const Node& node = *nodes[i];
      if (node.Is("Constant")) continue;
      if (node.Is("If")) {
        for (const char* branch : {"then_branch", "else_branch"})
          better |= i < AllNodes(*case_.graph).size() &&
                    Try([&](Case* c) { return TakeBranch(AllNodes(*c->graph)[i], branch); });
        if (AllNodes(*case_.graph).size() != nodes.size()) continue;
      }
      bool gone = false;
      for (size_t k = 0; k < node.num_inputs() && !gone; ++k) {
        gone = Try([&](Case* c) {
          Node* n = AllNodes(*c->graph)[i];
          Value *from = n->output(), *to = n->input(k);
          if (to == nullptr || !from->used() || !to->type().is_tensor() ||
              to->type().dtype() != from->type().dtype())
            return false;
          n->graph()->ReplaceAllUses(from, to);
          return true;
        });
      }
      for (size_t k = 0; k < node.num_outputs() && !gone; ++k)
        gone |= Try([&](Case* c) { return CutOff(c, AllNodes(*c->graph)[i], k); });
      if (!gone) {
        for (size_t k = node.num_inputs(); k-- > 0;) {
          const ParamDef* param = node.op().InputParam(k);
          if (param == nullptr || param->arity != ParamDef::Arity::kOptional ||
              node.input(k) == nullptr)
            continue;
          if (Try([&](Case* c) { return AllNodes(*c->graph)[i]->SetInput(k, nullptr), true; })) {
            better = true;
            break;
          }
        }
      }
      better |= gone;
    }
    return better;
  }

  static bool TakeBranch(Node* node, const char* branch) {
    if (!node->Is("If")) return false;
    absl::flat_hash_map<const Value*, Value*> map;
    if (!CopyNodes(*node->body(branch), node->graph(), &map, node).ok()) return false;
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      Value* v = node->body(branch)->outputs()[i];
      const auto it = map.find(v);
      node->graph()->ReplaceAllUses(node->output(i), it == map.end() ? v : it->second);
    }
    return true;
  }

  // The value becomes an input.
  static bool CutOff(Case* c, Node* node, size_t output) {
    Value* v = node->output(output);
    const Type type = v->type();
    if (!v->used() || !type.is_tensor() || !type.has_shape() || node->Is("Variable")) return false;
    std::vector<Tensor> contents;
    for (size_t run = 0; run < c->feeds.size(); ++run) {
      const Bindings bindings = BindingsOf(*c, run);
      Dims dims;
      for (const Dim& d : type.shape()) {
        const std::optional<int64_t> n = d.is_unknown() ? std::nullopt : d.Evaluate(bindings);
        if (!n.has_value() || *n < 0) return false;
        dims.push_back(*n);
      }
      contents.push_back(Simple(type, dims, 1));
    }
    Value* input =
        c->graph->AddInput(c->graph->UniqueName("cut"), Type::Tensor(type.dtype(), type.shape()));
    for (size_t run = 0; run < c->feeds.size(); ++run)
      c->feeds[run].push_back({input->name(), contents[run]});
    node->graph()->ReplaceAllUses(v, input);
    return true;
  }

  // Every extent of `from` is `to` from now on: of inputs, constants and what is fed.
  static bool Replace(Case* c, const Dim& from, int64_t to) {
    for (Value* v : c->graph->inputs()) {
      if (!v->type().has_shape()) return false;
      Shape shape = v->type().shape();
      for (Dim& d : shape) {
        if (d == from) d = to;
      }
      for (Feeds& feeds : c->feeds) {
        for (auto& [name, tensor] : feeds) {
          if (name != v->name()) continue;
          Dims dims(tensor.dims().begin(), tensor.dims().end());
          for (size_t i = 0; i < dims.size(); ++i) {
            if (v->type().shape()[i] == from) dims[i] = std::min(dims[i], to);
            if (v->type().shape()[i] == from && dims[i] != to) return false;
          }
          tensor = Cut(tensor, dims);
        }
      }
      v->set_type(Type::Tensor(v->type().dtype(), shape));
    }
    if (!from.is_number()) return true;
    for (Node* node : AllNodes(*c->graph)) {
      if (!node->Is("Constant")) continue;
      const Tensor t = *node->GetTensor("value");
      Dims dims(t.dims().begin(), t.dims().end());
      for (int64_t& d : dims) {
        if (d == from.number()) d = to;
      }
      if (dims != Dims(t.dims().begin(), t.dims().end())) node->SetAttr("value", Cut(t, dims));
    }
    return true;
  }

  bool Extents() {
    bool better = false;
    std::set<int64_t> numbers;
    std::set<std::string> symbols;
    for (const Value* v : case_.graph->inputs()) {
      if (!v->type().has_shape()) continue;
      for (const Dim& d : v->type().shape()) {
        if (const auto symbol = d.AsSymbol()) symbols.insert(*symbol);
        if (d.is_number()) numbers.insert(d.number());
      }
    }
    for (const Node* node : AllNodes(*case_.graph)) {
      if (node->Is("Constant"))
        numbers.insert(node->GetTensor("value")->dims().begin(),
                       node->GetTensor("value")->dims().end());
    }
    if (case_.feeds.size() == 1) {
      for (const std::string& symbol : symbols) {
        const Bindings bindings = BindingsOf(case_, 0);
        better |= Try([&](Case* c) {
          return bindings.contains(symbol) && Replace(c, Dim::Symbol(symbol), bindings.at(symbol));
        });
      }
    }
    for (auto it = numbers.rbegin(); it != numbers.rend(); ++it) {
      for (int64_t to : {int64_t{1}, int64_t{2}, *it / 2, *it - 1}) {
        if (to < *it && to > 0 && Try([&](Case* c) { return Replace(c, *it, to); })) {
          better = true;
          break;
        }
      }
    }
    return better;
  }

  bool Constants() {
    bool better = false;
    for (size_t i = 0; i < AllNodes(*case_.graph).size(); ++i) {
      const Node* node = AllNodes(*case_.graph)[i];
      if (!node->Is("Constant") || done_.contains(node->name())) continue;
      const Tensor& t = *node->GetTensor("value");
      if (t.elements() < 2 || t.random().has_value() || !IsFloat(t.dtype())) continue;
      done_.insert(node->name());
      better |= Try([&](Case* c) {
        Node* n = AllNodes(*c->graph)[i];
        n->SetAttr("value", Simple(n->output()->type(), Dims(t.dims().begin(), t.dims().end()), 1));
        return true;
      });
    }
    return better;
  }

  bool Attributes() {
    bool better = false;
    for (size_t i = 0; i < AllNodes(*case_.graph).size(); ++i) {
      std::vector<std::string> names;
      for (const auto& [name, value] : AllNodes(*case_.graph)[i]->attrs()) {
        const AttrDef* def = AllNodes(*case_.graph)[i]->op().FindAttr(name);
        if (def != nullptr && !def->required && !(def->value.has_value() && *def->value == value))
          names.push_back(name);
      }
      for (const std::string& name : names)
        better |= Try([&](Case* c) { return AllNodes(*c->graph)[i]->EraseAttr(name), true; });
    }
    return better;
  }

  // What the command would make up is best.
  bool FedNumbers() {
    bool better = false;
    for (size_t k = 0; k < case_.graph->inputs().size(); ++k) {
      const Value* v = case_.graph->inputs()[k];
      const std::string key = "feed " + v->name();
      if (!done_.insert(key).second || v->type().dtype() == DType::kString) continue;
      better |= Try([&](Case* c) {
        for (Feeds& feeds : c->feeds) {
          for (auto& [name, tensor] : feeds) {
            if (name == v->name())
              tensor = Simple(v->type(), Dims(tensor.dims().begin(), tensor.dims().end()), k + 1);
          }
        }
        return true;
      });
    }
    return better;
  }

  Case case_;
  const std::function<bool(const Case&)>& fails_;
  int tries_;
  std::set<std::string> done_;  // what was tried once and need not be again
};

}  // namespace

Case Copied(const Case& c) {
  Case made;
  made.seed = c.seed;
  made.graph = c.graph->Clone();
  made.feeds = c.feeds;
  made.regime = c.regime;
  return made;
}

Case Shrunk(const Case& c, const std::function<bool(const Case&)>& fails, int tries) {
  return Shrinker(c, fails, tries).Run();
}

}  // namespace sluice::random
