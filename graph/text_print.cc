#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "graph/scalar_text.h"
#include "graph/text.h"
#include "graph/text_names.h"

namespace sluice {
namespace {

// Messages show what a reader can take in: long names and lists are cut.
constexpr size_t kMaxLineInMessage = 1000;
constexpr size_t kMaxNameInMessage = 200;

// At most `size` bytes of `text`, no character cut in two.
absl::string_view Beginning(absl::string_view text, size_t size = kMaxNameInMessage) {
  if (text.size() <= size) return text;
  for (int back = 0; back < 3 && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80; ++back) --size;
  return text.substr(0, size);
}

std::string SizeIfCut(absl::string_view text) {
  return text.size() > kMaxNameInMessage ? absl::StrCat("... (", text.size(), " bytes)") : "";
}

class Printer {
 public:
  // `brief`: for a message, so bodies and hashes are left out.
  Printer(const PrintOptions& options, bool brief) : options_(options), brief_(brief) {}

  void Program(const Graph& graph) {
    Append("graph ");
    Word(graph.name());
    Append(" ");
    Body(graph, 0);
    Append("\n");
    for (const auto& [name, function] : graph.functions()) {
      if (function == nullptr) continue;  // Verify() says so
      Append("\nfunction ");
      Word(name);
      if (function->name() != name) {
        Append(" as ");
        Word(function->name());
      }
      Append(" ");
      Body(*function, 0);
      Append("\n");
    }
    if (!graph.signatures().empty()) Append("\n");
    for (const auto& [name, signature] : graph.signatures()) {
      Append("signature ");
      Word(name);
      Append(" (");
      Words(signature.inputs);
      Append(") -> (");
      Words(signature.outputs);
      if (!signature.does.empty()) {
        Append(") does (");
        Words(signature.does);
      }
      Append(signature.training ? ") training\n" : ")\n");
    }
    if (!graph.metadata().empty()) Append("\n");
    for (const auto& [key, value] : graph.metadata()) {
      Append("metadata ");
      AppendQuoted(&out_, key);
      Append(" = ");
      AppendQuoted(&out_, value);
      Append("\n");
    }
  }

  void PrintNode(const Node& node, int indent) {
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      if (i > 0) Append(", ");
      ValueName(node.output(i));
    }
    Append(" = ");
    Append(node.op_name());
    if (node.num_inputs() > 0) {
      Append("(");
      for (size_t i = 0; i < node.num_inputs(); ++i) {
        if (i > 0) Append(", ");
        ValueName(node.input(i));
      }
      Append(")");
    }
    // Without inputs the braces alone tell where the op's name ends.
    if (!Braces(node, indent) && node.num_inputs() == 0) Append("()");
    if (options_.types) Types(node);
    if (!node.device().empty()) {
      Append(" @");
      if (IsPlainDevice(node.device())) {
        Append(node.device());
      } else {
        AppendQuoted(&out_, node.device());
      }
    }
    if (!node.control_inputs().empty()) {
      Append(" after (");
      bool first = true;
      for (const Node* control : node.control_inputs()) {
        if (!first) Append(", ");
        first = false;
        ValueName(control->output());
      }
      Append(")");
    }
    if (options_.origins) {
      const std::string origin = node.origin().ToString();
      if (!origin.empty()) {
        Append("  // ");
        Append(origin);
      }
    }
  }

  std::string Take() { return std::move(out_); }

 private:
  void Append(absl::string_view text) { out_.append(text.data(), text.size()); }
  void Indent(int indent) { out_.append(static_cast<size_t>(indent) * 2, ' '); }

  void Word(absl::string_view name) {
    if (IsPlainName(name)) {
      Append(name);
    } else {
      AppendQuoted(&out_, name);
    }
  }

  void Words(const std::vector<std::string>& names) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (i > 0) Append(", ");
      Word(names[i]);
    }
  }

  void ValueName(const Value* value) {
    if (value == nullptr) {
      Append("_");
      return;
    }
    out_.push_back('%');
    if (brief_ && value->name().size() > 200) {
      Word(absl::string_view(value->name()).substr(0, 200));
      Append("...");
    } else {
      Word(value->name());
    }
  }

  // "(%x: f32[n]) {" and the lines to the closing brace, which stands at `indent`.
  void Body(const Graph& graph, int indent) {
    Append("(");
    bool first = true;
    for (const Value* input : graph.inputs()) {
      if (!first) Append(", ");
      first = false;
      ValueName(input);
      if (!input->type().is_unknown()) {
        Append(": ");
        Append(input->type().ToString());
      }
      if (input->held()) Append(" held");
    }
    Append(") {\n");
    for (const auto& node : graph.nodes()) {
      Indent(indent + 1);
      PrintNode(*node, indent + 1);
      Append("\n");
    }
    Indent(indent + 1);
    Append("return");
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      Append(i > 0 ? ", " : " ");
      ValueName(graph.outputs()[i]);
      if (graph.output_names()[i] != graph.outputs()[i]->name()) {
        Append(" as ");
        AppendQuoted(&out_, graph.output_names()[i]);
      }
    }
    Append("\n");
    Indent(indent);
    Append("}");
  }

  // Attributes and bodies, sorted together by name; what equals its default is left out.
  // False where nothing is left to print.
  bool Braces(const Node& node, int indent) {
    bool any = false;
    auto open = [&](absl::string_view name) {
      Append(any ? ", " : " {");
      any = true;
      Word(name);
      Append(" = ");
    };
    auto body = node.bodies().begin();
    auto bodies_before = [&](const std::string* name) {
      for (; body != node.bodies().end() && (name == nullptr || body->first < *name); ++body) {
        open(body->first);
        Append("graph ");
        if (body->second->name() != body->first) {
          Word(body->second->name());
          Append(" ");
        }
        if (brief_) {
          Append("{...}");
        } else {
          Body(*body->second, indent);
        }
      }
    };
    for (const auto& [name, value] : node.attrs()) {
      const AttrDef* def = node.op().FindAttr(name);
      if (def != nullptr && def->value.has_value() && *def->value == value) continue;
      bodies_before(&name);
      open(name);
      AttributeValue(value);
    }
    bodies_before(nullptr);
    if (any) Append("}");
    return any;
  }

  template <typename T, typename F>
  void List(const std::vector<T>& values, F append) {
    const size_t shown = brief_ ? std::min<size_t>(values.size(), 32) : values.size();
    Append("[");
    for (size_t i = 0; i < shown; ++i) {
      if (i > 0) Append(", ");
      append(values[i]);
    }
    if (shown < values.size()) Append(", ...");
    Append("]");
  }

  void AttributeValue(const Attribute& value) {
    auto quoted = [&](const std::string& s) { AppendQuoted(&out_, s); };
    switch (value.kind()) {
      case AttrKind::kInt:
        return AppendInt(&out_, value.as_int());
      case AttrKind::kFloat:
        return AppendFloat(&out_, value.as_float());
      case AttrKind::kString:
        return quoted(value.as_string());
      case AttrKind::kInts:
        return List(value.as_ints(), [&](int64_t v) { AppendInt(&out_, v); });
      case AttrKind::kFloats:
        return List(value.as_floats(), [&](float v) { AppendFloat(&out_, v); });
      case AttrKind::kStrings:
        return List(value.as_strings(), quoted);
      case AttrKind::kDType:
        return Append(ToString(value.as_dtype()));
      case AttrKind::kTensor:
        return TensorValue(value.as_tensor());
      case AttrKind::kType:
        return Append(value.as_type().ToString());
    }
  }

  void TensorValue(const Tensor& tensor) {
    if (!tensor.valid()) return Append("invalid[]");
    if (brief_) return Append(tensor.ToString());
    Append(tensor.TypeString());
    if (tensor.random().has_value()) {
      Append(" {random = ");
      AppendInt(&out_, tensor.random()->seed);
      if (tensor.random()->scale != 1) {
        Append(", scale = ");
        AppendFloat(&out_, tensor.random()->scale);
      }
      if (tensor.random()->offset != 0 || std::signbit(tensor.random()->offset)) {
        Append(", offset = ");
        AppendFloat(&out_, tensor.random()->offset);
      }
      return Append("}");
    }
    // Strings are always inline: the weights' file has none.
    if (tensor.elements() > options_.max_inline_elements && tensor.dtype() != DType::kString) {
      Append(" #");
      return Append(tensor.ContentHash());
    }
    Append(" [");
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      if (i > 0) Append(", ");
      AppendElement(&out_, tensor, i);
    }
    Append("]");
  }

  void Types(const Node& node) {
    bool known = false;
    for (size_t i = 0; i < node.num_outputs(); ++i) known |= !node.output(i)->type().is_unknown();
    if (!known) return;
    Append(" : ");
    for (size_t i = 0; i < node.num_outputs(); ++i) {
      if (i > 0) Append(", ");
      Append(node.output(i)->type().ToString());
    }
  }

  const PrintOptions options_;
  const bool brief_;
  std::string out_;
};

}  // namespace

std::string Quote(absl::string_view text) {
  std::string quoted;
  AppendQuoted(&quoted, text);
  return quoted;
}

std::string Shown(absl::string_view name) {
  std::string shown = "'";
  AppendEscaped(&shown, Beginning(name), '\'');
  absl::StrAppend(&shown, "'", SizeIfCut(name));
  return shown;
}

std::string ShownValue(absl::string_view name) {
  if (name.size() <= kMaxNameInMessage && IsPlainName(name)) return absl::StrCat("%", name);
  return absl::StrCat("%", Quote(Beginning(name)), SizeIfCut(name));
}

std::string Escaped(absl::string_view text) {
  std::string escaped;
  AppendEscaped(&escaped, Beginning(text), '\0');
  absl::StrAppend(&escaped, SizeIfCut(text));
  return escaped;
}

std::string Print(const Graph& graph, const PrintOptions& options) {
  Printer printer(options, /*brief=*/false);
  printer.Program(graph);
  return printer.Take();
}

std::string NodeToString(const Node& node) {
  Printer printer({}, /*brief=*/true);
  printer.PrintNode(node, 0);
  std::string text = printer.Take();
  if (text.size() > kMaxLineInMessage) {
    text.resize(Beginning(text, kMaxLineInMessage).size());
    text.append("...");
  }
  return text;
}

}  // namespace sluice
