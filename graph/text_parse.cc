#include <charconv>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/no_throw.h"
#include "graph/error_details.h"
#include "graph/infer.h"
#include "graph/lexer.h"
#include "graph/scalar_text.h"
#include "graph/text.h"
#include "graph/text_names.h"

namespace sluice {
namespace {

template <typename T>
bool ParseInt(absl::string_view token, T* value) {
  const char* end = token.data() + token.size();
  auto [stop, error] = std::from_chars(token.data(), end, *value);
  return stop == end && error == std::errc();
}

bool IsFloatToken(absl::string_view token) {
  return token.find_first_of(".eEin") != absl::string_view::npos;
}

// Recursive descent, one pass. Functions return false after an error, which the lexer keeps.
class Parser {
 public:
  Parser(absl::string_view text, const OpRegistry& ops, const ParseOptions& options)
      : ops_(ops), options_(options), text_(text), lex_(options.file, text) {}

  absl::StatusOr<std::unique_ptr<Graph>> Run() {
    auto graph = std::make_unique<Graph>(ops_);
    if (!Program(graph.get())) return lex_.status();
    if (!unknown_ops_.empty()) {
      return absl::InvalidArgumentError(
          WithExcerpt(options_.file, text_, first_unknown_,
                      absl::StrCat("unknown ops: ", unknown_ops_,
                                   unknown_count_ > kMaxListed
                                       ? absl::StrCat(" and ", unknown_count_ - kMaxListed, " more")
                                       : "")));
    }
    if (options_.infer) {
      if (absl::Status s = Infer(graph.get()); !s.ok()) return s;
    }
    return graph;
  }

 private:
  static constexpr int kMaxListed = 100;

  // One graph, function or body that is being read.
  struct Scope {
    Graph* graph;
    Scope* outer;
    // Names that bodies inside have used up: a later value here may not take one.
    absl::flat_hash_set<std::string> inner_names;
  };

  bool Program(Graph* graph) {
    bool found = false;
    while (!lex_.AtEnd()) {
      if (!lex_.ok()) return false;
      const size_t at = lex_.position();
      if (lex_.ConsumeWord("graph")) {
        if (found) return lex_.Fail(at, "a second graph; expected function, signature or metadata");
        found = true;
        absl::string_view name;
        if (!lex_.Word("the graph's name", &name, &scratch_)) return false;
        graph->set_name(name);
        if (!GraphBody(graph, nullptr, 0)) return false;
      } else if (lex_.ConsumeWord("function")) {
        if (!Function(graph)) return false;
      } else if (lex_.ConsumeWord("signature")) {
        if (!ReadSignature(graph)) return false;
      } else if (lex_.ConsumeWord("metadata")) {
        if (!Metadata(graph)) return false;
      } else {
        return lex_.FailExpected("graph, function, signature or metadata");
      }
    }
    return lex_.ok() && (found || lex_.FailExpected("graph"));
  }

  bool Function(Graph* program) {
    const size_t at = lex_.position();
    absl::string_view word;
    if (!lex_.Word("the function's name", &word, &scratch_)) return false;
    const std::string name(word);
    auto function = std::make_unique<Graph>(ops_, name);
    if (lex_.ConsumeWord("as")) {
      if (!lex_.Word("the graph's name", &word, &scratch_)) return false;
      function->set_name(word);
    }
    if (!GraphBody(function.get(), nullptr, 0)) return false;
    if (!program->functions().try_emplace(name, std::move(function)).second)
      return lex_.Fail(at, absl::StrCat("function ", Shown(name), " is defined twice"));
    return true;
  }

  bool ReadSignature(Graph* program) {
    const size_t at = lex_.position();
    absl::string_view word;
    if (!lex_.Word("the signature's name", &word, &scratch_)) return false;
    const std::string name(word);
    Signature signature;
    if (!Words(&signature.inputs) || !lex_.ExpectArrow() || !Words(&signature.outputs))
      return false;
    if (lex_.ConsumeWord("does") && !Words(&signature.does)) return false;
    signature.training = lex_.ConsumeWord("training");
    if (!program->signatures().try_emplace(name, std::move(signature)).second)
      return lex_.Fail(at, absl::StrCat("signature ", Shown(name), " is defined twice"));
    return true;
  }

  bool Words(std::vector<std::string>* words) {
    if (!lex_.Expect('(')) return false;
    if (lex_.Consume(')')) return true;
    do {
      absl::string_view word;
      if (!lex_.Word("a name", &word, &scratch_)) return false;
      words->emplace_back(word);
    } while (lex_.Consume(','));
    return lex_.Expect(')');
  }

  bool Metadata(Graph* program) {
    const size_t at = lex_.position();
    std::string key, value;
    if (!lex_.String(&key) || !lex_.Expect('=') || !lex_.String(&value)) return false;
    if (!program->metadata().try_emplace(key, std::move(value)).second)
      return lex_.Fail(at, absl::StrCat("metadata ", Shown(key), " is given twice"));
    return true;
  }

  // "(%x: f32[n]) { ... }"
  bool GraphBody(Graph* graph, Scope* outer, int depth) {
    if (depth > options_.max_depth) {
      return lex_.Fail(lex_.position(),
                       absl::StrCat("bodies are nested deeper than ", options_.max_depth));
    }
    Scope scope{graph, outer, {}};
    if (!lex_.Expect('(')) return false;
    if (!lex_.Consume(')')) {
      do {
        absl::string_view name;
        if (!DefinedName(scope, &name)) return false;
        const std::string kept(name);
        Type type;
        if (lex_.Consume(':') && !lex_.ReadType(&type)) return false;
        Value* input = graph->AddInput(kept, std::move(type));
        if (lex_.ConsumeWord("held")) input->set_held(true);
      } while (lex_.Consume(','));
      if (!lex_.Expect(')')) return false;
    }
    if (!lex_.Expect('{')) return false;
    while (lex_.Peek() == '%') {
      if (!ReadNode(&scope, depth)) return false;
    }
    if (!lex_.ConsumeWord("return")) return lex_.FailExpected("a node or 'return'");
    if (lex_.Peek() == '%') {
      do {
        if (!ReadOutput(graph)) return false;
      } while (lex_.Consume(','));
    }
    if (!lex_.Expect('}')) return false;
    if (outer != nullptr) GiveNames(&scope);
    return true;
  }

  bool ReadOutput(Graph* graph) {
    Value* value = UsedValue(graph);
    if (value == nullptr) return false;
    std::string name;
    if (lex_.ConsumeWord("as")) {
      const size_t at = lex_.position();
      if (!lex_.String(&name)) return false;
      if (name.empty()) return lex_.Fail(at, "an output's name cannot be empty");
    }
    graph->AddOutput(value, name);
    return true;
  }

  // Hands the names of a finished body to the scope around it: the larger set takes in the smaller.
  static void GiveNames(Scope* scope) {
    auto& mine = scope->inner_names;
    for (const Value* v : scope->graph->inputs()) mine.insert(v->name());
    for (const auto& node : scope->graph->nodes()) {
      for (size_t i = 0; i < node->num_outputs(); ++i) mine.insert(node->output(i)->name());
    }
    auto& theirs = scope->outer->inner_names;
    if (theirs.size() < mine.size()) std::swap(theirs, mine);
    theirs.insert(mine.begin(), mine.end());
  }

  // "%name" where a value begins to be: the name must be free. Good until the next call.
  bool DefinedName(const Scope& scope, absl::string_view* name) {
    const size_t at = lex_.position();
    if (!lex_.Expect('%') || !lex_.Word("a value's name", name, &scratch_)) return false;
    if (name->empty()) return lex_.Fail(at, "a value's name cannot be empty");
    if (scope.graph->FindVisibleValue(*name) != nullptr) {
      return lex_.Fail(at, absl::StrCat("value ", Shown(*name), " is defined twice"));
    }
    if (scope.inner_names.contains(*name)) {
      return lex_.Fail(
          at, absl::StrCat("value ", Shown(*name), " has the name of a value in a body above"));
    }
    return true;
  }

  // "%name" of a value defined before; null after an error.
  Value* UsedValue(Graph* graph) {
    const size_t at = lex_.position();
    absl::string_view name;
    if (!lex_.Expect('%') || !lex_.Word("a value's name", &name, &scratch_)) return nullptr;
    Value* value = graph->FindVisibleValue(name);
    if (value == nullptr) {
      lex_.Fail(at, absl::StrCat("value ", Shown(name), " is not defined before its use"));
      return nullptr;
    }
    for (const Graph* g = graph; value->producer() != nullptr && g != value->graph();
         g = g->parent()) {
      if (g->owner() != value->producer()) continue;
      lex_.Fail(at, absl::StrCat("value ", Shown(name),
                                 " is a result of the node whose body this "
                                 "is"));
      return nullptr;
    }
    return value;
  }

  // %a, %b = Op(%x, _) {axis = 1} : f32[2], f32[2] @gpu:0 after (%w)
  bool ReadNode(Scope* scope, int depth) {
    Graph* graph = scope->graph;
    const size_t at = lex_.position();
    const int line = lex_.line();
    if (++nodes_ > options_.max_nodes) {
      return lex_.Fail(at, absl::StrCat("more than ", options_.max_nodes, " nodes"));
    }
    names_.clear();
    do {
      absl::string_view name;
      const size_t name_at = lex_.position();
      if (!DefinedName(*scope, &name)) return false;
      for (size_t i = 0; i < names_.size() && names_.size() < 16; ++i) {
        if (names_[i] == name)
          return lex_.Fail(name_at, absl::StrCat("value ", Shown(name), " is defined twice"));
      }
      names_.emplace_back(name);
    } while (lex_.Consume(','));
    if (names_.size() > 16) {
      absl::flat_hash_set<absl::string_view> distinct(names_.begin(), names_.end());
      if (distinct.size() < names_.size())
        return lex_.Fail(at, "two results of this node have one name");
    }
    if (!lex_.Expect('=')) return false;
    const size_t op_at = lex_.position();
    absl::string_view op_name;
    if (!lex_.Word("an op", &op_name, &scratch_)) return false;
    const OpDef* op = ops_.Find(op_name);
    if (op == nullptr) op = UnknownOp(op_at, op_name, line);
    inputs_.clear();
    const bool no_inputs = lex_.Peek() == '{';
    if (!no_inputs && !lex_.Expect('(')) return false;
    if (!no_inputs && !lex_.Consume(')')) {
      do {
        if (lex_.ConsumeWord("_")) {
          inputs_.push_back(nullptr);
        } else {
          Value* value = UsedValue(graph);
          if (value == nullptr) return false;
          inputs_.push_back(value);
        }
      } while (lex_.Consume(','));
      if (!lex_.Expect(')')) return false;
    }
    Node* node = graph->AddNode(*op, inputs_, names_);
    node->mutable_origin().file = options_.file;
    node->mutable_origin().line = line;
    if (lex_.Consume('{') && !Braces(node, scope, depth)) return false;
    if (lex_.Consume(':') && !Types(node)) return false;
    if (lex_.Consume('@')) {
      std::string device;
      if (!lex_.Device(&device)) return false;
      node->set_device(std::move(device));
    }
    return !lex_.ConsumeWord("after") || ControlInputs(node);
  }

  const OpDef* UnknownOp(size_t at, absl::string_view name, int line) {
    if (unknown_count_ == 0) {
      first_unknown_ = at;
      unknown_op_.name = "unknown";
    }
    if (++unknown_count_ <= kMaxListed) {
      absl::StrAppend(&unknown_ops_, unknown_ops_.empty() ? "" : ", ", Shown(name), " (",
                      Shown(names_[0]), ", line ", line, ")");
    }
    return &unknown_op_;
  }

  bool Types(Node* node) {
    for (size_t i = 0; i < node->num_outputs(); ++i) {
      Type type;
      if (i > 0 && !lex_.Expect(',')) return false;
      if (!lex_.ReadType(&type)) return false;
      node->output(i)->set_type(std::move(type));
    }
    return true;
  }

  bool ControlInputs(Node* node) {
    if (!lex_.Expect('(')) return false;
    do {
      const size_t at = lex_.position();
      const Value* value = UsedValue(node->graph());
      if (value == nullptr) return false;
      if (value->graph() != node->graph() || value->producer() == nullptr ||
          value->producer() == node) {
        return lex_.Fail(at, "a control input must be an earlier node of the same graph");
      }
      node->AddControlInput(value->producer());
    } while (lex_.Consume(','));
    return lex_.Expect(')');
  }

  // What stands between '{' and '}' of a node: attributes and bodies.
  bool Braces(Node* node, Scope* scope, int depth) {
    if (lex_.Consume('}')) return true;
    do {
      const size_t at = lex_.position();
      absl::string_view word;
      if (!lex_.Word("an attribute's name", &word, &scratch_)) return false;
      const std::string name(word);
      if (node->HasAttr(name) || node->body(name) != nullptr)
        return lex_.Fail(at, absl::StrCat("attribute ", Shown(name), " is given twice"));
      if (!lex_.Expect('=')) return false;
      if (lex_.ConsumeWord("graph")) {
        Graph* body = node->AddBody(name);
        if (lex_.Peek() != '(') {
          if (!lex_.Word("'(' or the body's name", &word, &scratch_)) return false;
          body->set_name(word);
        }
        if (!GraphBody(body, scope, depth + 1)) return false;
        continue;
      }
      const AttrDef* def = node->op().FindAttr(name);
      Attribute value;
      if (!AttributeValue(def != nullptr ? std::optional(def->kind) : std::nullopt, &value))
        return false;
      node->SetAttr(name, std::move(value));
    } while (lex_.Consume(','));
    return lex_.Expect('}');
  }

  // The declared kind decides where the text alone does not: whole numbers for floats, empty lists,
  // `f32`.
  bool AttributeValue(std::optional<AttrKind> kind, Attribute* value) {
    const char c = lex_.Peek();
    absl::string_view token;
    if (c == '"') {
      std::string s;
      if (!lex_.String(&s)) return false;
      *value = Attribute(std::move(s));
      return true;
    }
    if (c == '[') return ListValue(kind, value);
    const size_t at = lex_.position();
    if (lex_.Number(&token)) {
      if (IsFloatToken(token) || kind == AttrKind::kFloat) {
        float f;
        if (!ReadFloat(at, token, &f)) return false;
        *value = Attribute(f);
      } else {
        int64_t i;
        if (!ReadInt(at, token, &i)) return false;
        *value = Attribute(i);
      }
      return true;
    }
    return TypedValue(kind, value);
  }

  bool ReadFloat(size_t at, absl::string_view token, float* value) {
    return ParseFloat(token, value) || lex_.Fail(at, "expected a number that fits f32");
  }

  bool ReadInt(size_t at, absl::string_view token, int64_t* value) {
    return ParseInt(token, value) || lex_.Fail(at, "expected a whole number that fits i64");
  }

  bool ListValue(std::optional<AttrKind> kind, Attribute* value) {
    std::vector<int64_t> ints;
    std::vector<float> floats;
    std::vector<std::string> strings;
    lex_.Expect('[');
    AttrKind found =
        kind == AttrKind::kFloats || kind == AttrKind::kStrings ? *kind : AttrKind::kInts;
    if (!lex_.Consume(']')) {
      do {
        const size_t at = lex_.position();
        absl::string_view token;
        if (lex_.Peek() == '"') {
          if (!ints.empty() || !floats.empty()) return lex_.FailExpected("a number, as before");
          found = AttrKind::kStrings;
          strings.emplace_back();
          if (!lex_.String(&strings.back())) return false;
        } else if (lex_.Number(&token)) {
          if (!strings.empty()) return lex_.Fail(at, "expected a string, as before");
          if (found == AttrKind::kStrings) return lex_.Fail(at, "expected a string");
          if (IsFloatToken(token) && found == AttrKind::kInts) {
            found = AttrKind::kFloats;
            floats.assign(ints.begin(), ints.end());
            ints.clear();
          }
          if (found == AttrKind::kFloats) {
            if (!ReadFloat(at, token, &floats.emplace_back())) return false;
          } else if (!ReadInt(at, token, &ints.emplace_back())) {
            return false;
          }
        } else {
          return lex_.FailExpected("a number or a string");
        }
      } while (lex_.Consume(','));
      if (!lex_.Expect(']')) return false;
    }
    if (found == AttrKind::kInts) *value = Attribute(std::move(ints));
    if (found == AttrKind::kFloats) *value = Attribute(std::move(floats));
    if (found == AttrKind::kStrings) *value = Attribute(std::move(strings));
    return true;
  }

  // A dtype, a type, or a tensor: a type with contents.
  bool TypedValue(std::optional<AttrKind> kind, Attribute* value) {
    const size_t at = lex_.position();
    if (lex_.Peek() != '?') {
      absl::string_view rest = absl::string_view(text_).substr(at);
      size_t length = 0;
      while (length < rest.size() && length < 16 && (absl::ascii_isalnum(rest[length]))) ++length;
      const absl::string_view word = rest.substr(0, length);
      std::optional<DType> dtype = ParseDType(word);
      if (word == "invalid") dtype = DType::kInvalid;
      if (dtype.has_value() && (length == rest.size() || rest[length] != '[')) {
        lex_.ConsumeWord(word);
        *value = Attribute(*dtype);
        return true;
      }
      if (word == "invalid" && absl::StartsWith(rest, "invalid[]")) {
        lex_.ConsumeWord(word);
        lex_.Expect('[');
        lex_.Expect(']');
        *value = Attribute(Tensor());
        return lex_.ok();
      }
      if (!dtype.has_value() && word != "sequence" && word != "optional" && word != "map") {
        return lex_.FailExpected("a number, string, list, type, tensor or 'graph'");
      }
    }
    Type type;
    if (!lex_.ReadType(&type)) return false;
    const char c = lex_.Peek();
    if (c != '[' && c != '#' && c != '{') {
      if (kind == AttrKind::kTensor)
        return lex_.FailExpected("the tensor's contents: '[', '#' or '{'");
      *value = Attribute(std::move(type));
      return true;
    }
    std::optional<Dims> dims = type.StaticDims();
    if (!dims.has_value() || type.dtype() == DType::kInvalid || type.layout() != Layout::kPlain) {
      return lex_.Fail(at,
                       absl::StrCat("a tensor's type needs a dtype and a shape of numbers; got ",
                                    type.ToString()));
    }
    Tensor tensor;
    if (c == '[' && !Elements(at, type.dtype(), *dims, &tensor)) return false;
    if (c == '#' && !StoredTensor(type, *dims, &tensor)) return false;
    if (c == '{' && !RandomTensor(at, type.dtype(), *dims, &tensor)) return false;
    *value = Attribute(std::move(tensor));
    return true;
  }

  bool Elements(size_t at, DType dtype, const Dims& dims, Tensor* tensor) {
    absl::StatusOr<int64_t> count = ElementCount(dims, std::max<size_t>(ByteSize(dtype), 1));
    if (!count.ok()) return lex_.Fail(at, count.status().message());
    lex_.Expect('[');
    // Each takes a character and a comma: nothing is allocated for contents that are not there.
    if (*count > 0 && static_cast<uint64_t>(*count) > lex_.remaining() / 2 + 1) {
      return lex_.Fail(at, absl::StrCat("expected ", *count, " elements, found fewer"));
    }
    absl::StatusOr<Tensor> allocated = Tensor::Allocate(dtype, dims);
    if (!allocated.ok())
      return lex_.Fail(at, allocated.status().message(), allocated.status().code());
    *tensor = *std::move(allocated);
    for (int64_t i = 0; i < *count; ++i) {
      if (i > 0 && !lex_.Consume(',')) {
        return lex_.FailExpected(absl::StrCat("',' and ", *count, " elements, after ", i));
      }
      if (!Element(tensor, i)) return false;
    }
    if (lex_.Consume(']')) return true;
    return lex_.FailExpected(absl::StrCat("']' after ", *count, " elements"));
  }

  bool Element(Tensor* tensor, int64_t i) {
    const DType dtype = tensor->dtype();
    if (dtype == DType::kString) return lex_.String(&tensor->mutable_data<std::string>()[i]);
    if (dtype == DType::kBool) {
      const bool yes = lex_.ConsumeWord("true");
      if (!yes && !lex_.ConsumeWord("false")) return lex_.FailExpected("true or false");
      tensor->mutable_data<bool>()[i] = yes;
      return true;
    }
    const size_t at = lex_.position();
    absl::string_view token;
    if (!lex_.Number(&token)) return lex_.FailExpected("a number");
    const bool fits = VisitDType(
        dtype,
        [&]<typename T>() {
          if constexpr (std::is_same_v<T, bool>) {
            return false;
          } else if constexpr (std::is_integral_v<T>) {
            return ParseInt(token, &tensor->mutable_data<T>()[i]);
          } else {
            return ParseFloat(token, &tensor->mutable_data<T>()[i]);
          }
        },
        [] { return false; });
    return fits || lex_.Fail(at, absl::StrCat(Shown(token), " is no ", ToString(dtype)));
  }

  bool StoredTensor(const Type& type, const Dims& dims, Tensor* tensor) {
    lex_.Expect('#');
    const size_t at = lex_.position();
    absl::string_view digits;
    if (!lex_.HexDigits(&digits)) return false;
    if (digits.size() != 32) return lex_.Fail(at, "expected a content hash of 32 hex digits");
    if (!options_.find_tensor) {
      return lex_.Fail(at, "this constant lies in a weights file, and none was given");
    }
    absl::StatusOr<Tensor> found = options_.find_tensor(digits);
    if (!found.ok()) {
      return lex_.Fail(at, absl::StrCat("tensor #", digits, ": ", found.status().message()));
    }
    if (found->dtype() != type.dtype() || found->dims() != absl::MakeConstSpan(dims)) {
      return lex_.Fail(at, absl::StrCat("tensor #", digits, " is ", found->TypeString(),
                                        " in the weights file, expected ", type.ToString()));
    }
    *tensor = *std::move(found);
    return true;
  }

  // {random = 7, scale = 0.05, offset = 1.0}
  bool RandomTensor(size_t at, DType dtype, const Dims& dims, Tensor* tensor) {
    lex_.Expect('{');
    RandomSpec spec;
    bool seeded = false;
    do {
      const bool seed = lex_.ConsumeWord("random"), scale = !seed && lex_.ConsumeWord("scale");
      if (!seed && !scale && !lex_.ConsumeWord("offset"))
        return lex_.FailExpected("random, scale or offset");
      if (!lex_.Expect('=')) return false;
      const size_t number_at = lex_.position();
      absl::string_view token;
      if (!lex_.Number(&token)) return lex_.FailExpected("a number");
      if (seed ? !ParseInt(token, &spec.seed)
               : !ParseFloat(token, scale ? &spec.scale : &spec.offset)) {
        return lex_.Fail(number_at, seed ? "expected a seed: a whole number that fits u64"
                                         : "expected a number that fits f64");
      }
      seeded |= seed;
    } while (lex_.Consume(','));
    if (!lex_.Expect('}')) return false;
    if (!seeded) return lex_.Fail(at, "a generated tensor needs its seed: random = NUMBER");
    absl::StatusOr<int64_t> count = ElementCount(dims, ByteSize(dtype));
    const int64_t bytes = count.ok() ? *count * static_cast<int64_t>(ByteSize(dtype)) : 0;
    if (count.ok() && bytes > options_.max_generated_bytes - generated_bytes_) {
      return lex_.Fail(at, absl::StrCat("generated tensors take more than the budget of ",
                                        options_.max_generated_bytes, " bytes"));
    }
    generated_bytes_ += bytes;
    absl::StatusOr<Tensor> made = Tensor::Random(dtype, dims, spec);
    if (!made.ok()) return lex_.Fail(at, made.status().message(), made.status().code());
    *tensor = *std::move(made);
    return true;
  }

  absl::Status Infer(Graph* graph) {
    absl::Status status = InferTypes(graph);
    if (status.ok()) return status;
    // Asks again node by node, to say where.
    std::vector<Graph*> graphs;
    for (auto& [name, function] : graph->functions()) graphs.push_back(function.get());
    graphs.push_back(graph);
    for (Graph* g : graphs) {
      for (const auto& node : g->nodes()) {
        absl::Status s = InferNode(node.get());
        if (s.ok()) continue;
        absl::Status at(s.code(), WithExcerpt(options_.file, text_,
                                              StartOfLine(node->origin().line), s.message()));
        const std::optional<ErrorDetails> details = DetailsOf(s);
        return details.has_value() ? WithDetails(std::move(at), *details) : at;
      }
    }
    return absl::Status(status.code(), absl::StrCat(options_.file, ": ", status.message()));
  }

  size_t StartOfLine(int line) const {
    size_t at = 0;
    for (int i = 1; i < line; ++i) at = text_.find('\n', at) + 1;
    const size_t first = text_.find_first_not_of(" \t", at);
    return first == absl::string_view::npos ? at : first;
  }

  const OpRegistry& ops_;
  const ParseOptions& options_;
  const absl::string_view text_;
  Lexer lex_;
  std::string scratch_;             // of quoted names
  std::vector<std::string> names_;  // of the node that is being read
  std::vector<Value*> inputs_;
  int64_t nodes_ = 0, generated_bytes_ = 0;
  OpDef unknown_op_;
  size_t first_unknown_ = 0;
  int64_t unknown_count_ = 0;
  std::string unknown_ops_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Graph>> Parse(absl::string_view text, const OpRegistry& ops,
                                             const ParseOptions& options) try {
  return Parser(text, ops, options).Run();
} catch (...) {
  return ExceptionStatus();
}

}  // namespace sluice
