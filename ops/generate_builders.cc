// Prints ops/ops.h: a typed function for every declared op. Runs at build time.
#include <cmath>
#include <cstdio>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/format.h"
#include "graph/text.h"
#include "ops/op.h"

namespace sluice {
namespace {

using Arity = ParamDef::Arity;

constexpr char kHeader[] =
    R"(// Generated from the op declarations by ops/generate_builders.cc. Do not edit.
//
// One function an op: ops::Conv(g, x, w, {.strides = {2, 2}}). Inputs come in the order of the declaration; trailing
// optional ones may be left out, and nullptr leaves one out before others. Attributes are members of a struct, in
// alphabetical order, as C++ wants designated initialisers. A variadic output asks for the number of outputs.
//
// An op with several outputs returns a struct of them. Where some are optional, Op() makes the required ones (the
// first, where all are optional) and OpAll() makes all. Errors stick to the builder: see graph/builder.h.
//
// If, Loop and Scan, whose bodies are functions of yours, are in ops/control_flow_builders.h.
#ifndef SLUICE_OPS_OPS_H_
#define SLUICE_OPS_OPS_H_

#include "ops/builder_support.h"

namespace sluice::ops {
)";

constexpr char kFooter[] = R"(
}  // namespace sluice::ops

#include "ops/control_flow_builders.h"

#endif  // SLUICE_OPS_OPS_H_
)";

// Not a keyword, and not a name that the generated function uses itself.
std::string Identifier(absl::string_view name) {
  static const auto* const kTaken = new std::set<std::string>{
      "g",       "attrs",     "where",  "outputs",  "list",     "auto",      "bool",    "break",
      "case",    "catch",     "char",   "class",    "const",    "continue",  "default", "delete",
      "do",      "double",    "else",   "enum",     "explicit", "export",    "extern",  "false",
      "float",   "for",       "friend", "goto",     "if",       "inline",    "int",     "long",
      "mutable", "namespace", "new",    "operator", "private",  "protected", "public",  "register",
      "return",  "short",     "signed", "sizeof",   "static",   "struct",    "switch",  "template",
      "this",    "throw",     "true",   "try",      "typedef",  "typename",  "union",   "unsigned",
      "using",   "virtual",   "void",   "volatile", "while",    "and",       "or",      "not",
      "xor",     "requires",  "concept"};
  std::string id;
  for (char c : name) id += absl::ascii_isalnum(c) ? c : '_';
  if (id.empty() || absl::ascii_isdigit(id[0])) id.insert(0, "_");
  if (kTaken->count(id) > 0) id += '_';
  return id;
}

// `text` as comment lines behind `indent`, broken at about 100 columns.
std::string Comment(absl::string_view text, absl::string_view indent) {
  std::string out, line;
  for (absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (!line.empty() && indent.size() + line.size() + word.size() > 94) {
      absl::StrAppend(&out, indent, "//", line, "\n");
      line.clear();
    }
    absl::StrAppend(&line, " ", word);
  }
  if (!line.empty()) absl::StrAppend(&out, indent, "//", line, "\n");
  return out;
}

std::string FloatLiteral(float v) {
  if (std::isnan(v)) return "__builtin_nanf(\"\")";
  if (std::isinf(v)) return v > 0 ? "__builtin_inff()" : "-__builtin_inff()";
  return Format("%af", v);
}

bool IsList(AttrKind kind) {
  return kind == AttrKind::kInts || kind == AttrKind::kFloats || kind == AttrKind::kStrings;
}

const char* CppType(AttrKind kind) {
  switch (kind) {
    case AttrKind::kInt:
    case AttrKind::kInts:
      return "int64_t";
    case AttrKind::kFloat:
    case AttrKind::kFloats:
      return "float";
    case AttrKind::kString:
    case AttrKind::kStrings:
      return "std::string";
    case AttrKind::kDType:
      return "DType";
    case AttrKind::kTensor:
      return "Tensor";
    case AttrKind::kType:
      return "Type";
  }
  return "";
}

// The default as a C++ expression; empty where it has no literal, and the attribute is then
// optional.
std::string Default(const AttrDef& attr) {
  if (!attr.value) return "";
  switch (attr.kind) {
    case AttrKind::kInt:
      return absl::StrCat("int64_t{", attr.value->as_int(), "}");
    case AttrKind::kFloat:
      return FloatLiteral(attr.value->as_float());
    case AttrKind::kString:
      return absl::StrCat("std::string(", Quote(attr.value->as_string()), ")");
    case AttrKind::kDType:
      return absl::StrCat("static_cast<DType>(", static_cast<int>(attr.value->as_dtype()), ")");
    default:
      return "";
  }
}

std::string MemberOf(const AttrDef& attr) {
  const std::string name = Identifier(attr.name), type = CppType(attr.kind);
  if (attr.required)
    return absl::StrCat("Required<", IsList(attr.kind) ? "std::vector<" + type + ">" : type, "> ",
                        name);
  if (IsList(attr.kind)) return absl::StrCat("List<", type, "> ", name, " = {}");
  if (const std::string value = Default(attr); !value.empty())
    return absl::StrCat(type, " ", name, " = ", value);
  return absl::StrCat("std::optional<", type, "> ", name, " = {}");
}

std::string DocOf(const AttrDef& attr) {
  if (!attr.value || !Default(attr).empty()) return attr.doc;
  if (attr.kind == AttrKind::kInts) {
    return absl::StrCat(attr.doc, attr.doc.empty() ? "" : " ", "Default: [",
                        absl::StrJoin(attr.value->as_ints(), ", "), "].");
  }
  return attr.doc;
}

class Generator {
 public:
  explicit Generator(const OpDef& op) : op_(op), attrs_name_(op.name + "Attrs") {}

  void Print() {
    if (!op_.attrs.empty()) PrintAttrs();
    if (op_.outputs.size() > 1) PrintOutputs();
    size_t required = 0, optional_outputs = 0, required_inputs = 0;
    for (const ParamDef& p : op_.outputs)
      (p.arity == Arity::kOptional ? optional_outputs : required)++;
    for (const ParamDef& p : op_.inputs) required_inputs += p.arity == Arity::kRequired;
    // Overloads with ever more of the optional inputs; a variadic input stands behind all of them.
    const bool variadic = !op_.inputs.empty() && op_.inputs.back().arity == Arity::kVariadic;
    const size_t last = op_.inputs.size();
    const size_t fewest = variadic ? last : required_inputs;
    for (size_t n = fewest; n <= last; ++n) {
      PrintFunction(op_.name, n, std::max<size_t>(required, 1), n == fewest);
      if (optional_outputs > 0 && op_.outputs.size() > 1) {
        PrintFunction(op_.name + "All", n, op_.outputs.size(), false);
      }
    }
  }

 private:
  void PrintAttrs() {
    std::printf("\nstruct %s {\n", attrs_name_.c_str());
    for (const AttrDef& attr : op_.attrs) {
      std::printf("%s  %s;\n", Comment(DocOf(attr), "  ").c_str(), MemberOf(attr).c_str());
    }
    std::printf("};\ninline AttrList Written(const %s& attrs) {\n  AttrList list;\n",
                attrs_name_.c_str());
    for (const AttrDef& attr : op_.attrs) {
      const std::string value = attr.required ? "" : Default(attr);
      std::printf("  internal::Add(&list, \"%s\", attrs.%s%s%s);\n", attr.name.c_str(),
                  Identifier(attr.name).c_str(), value.empty() ? "" : ", ", value.c_str());
    }
    std::printf("  return list;\n}\n");
  }

  void PrintOutputs() {
    std::printf("\nstruct %sOutputs {\n", op_.name.c_str());
    for (const ParamDef& p : op_.outputs) {
      const bool variadic = p.arity == Arity::kVariadic;
      std::printf("  %s %s%s;\n", variadic ? "std::vector<Value*>" : "Value*",
                  Identifier(p.name).c_str(), variadic ? "" : " = nullptr");
    }
    std::printf("};\n");
  }

  // With the first `inputs` inputs and `outputs` outputs.
  void PrintFunction(const std::string& name, size_t inputs, size_t outputs, bool documented) {
    const bool variadic_out = !op_.outputs.empty() && op_.outputs.back().arity == Arity::kVariadic;
    const bool one = !variadic_out && outputs == 1;
    std::vector<std::string> params = {"GraphBuilder& g"}, fixed;
    std::string more;
    for (size_t i = 0; i < inputs; ++i) {
      const std::string id = InputName(i);
      if (op_.inputs[i].arity == Arity::kVariadic) {
        params.push_back("absl::Span<Value* const> " + id);
        more = id;
      } else {
        params.push_back("Value* " + id);
        fixed.push_back(id);
      }
    }
    if (variadic_out) params.push_back("size_t outputs");
    bool must = false;
    for (const AttrDef& a : op_.attrs) must |= a.required;
    if (!op_.attrs.empty())
      params.push_back(absl::StrCat("const ", attrs_name_, "& attrs", must ? "" : " = {}"));
    params.push_back("Location where = Location::current()");

    const std::string result = one                       ? "Value*"
                               : op_.outputs.size() == 1 ? "std::vector<Value*>"
                                                         : op_.name + "Outputs";
    if (documented) std::printf("\n%s", Comment(op_.doc, "").c_str());
    std::printf("inline %s %s(%s) {\n", result.c_str(), name.c_str(),
                absl::StrJoin(params, ", ").c_str());
    const bool counted = variadic_out && op_.FindAttr("num_outputs") != nullptr;
    const char* list = op_.attrs.empty() ? "{}" : counted ? "list" : "Written(attrs)";
    if (counted) PrintCount(inputs);
    std::string all = absl::StrCat("{", absl::StrJoin(fixed, ", "), "}");
    if (!more.empty())
      all = fixed.empty() ? more : absl::StrCat("internal::Join(", all, ", ", more, ")");
    if (one) {
      std::printf("  return g.Op(\"%s\", %s, %s, where);\n}\n", op_.name.c_str(), all.c_str(),
                  list);
      return;
    }
    // A braced list of values does not convert to a span by itself.
    if (more.empty()) all = absl::StrCat("std::vector<Value*>", all);
    const std::string count =
        variadic_out ? absl::StrCat(op_.outputs.size() - 1, " + outputs") : absl::StrCat(outputs);
    std::printf("  %sg.OpN(\"%s\", %s, %s, %s, where);\n",
                op_.outputs.size() == 1 ? "return " : "const std::vector<Value*> values = ",
                op_.name.c_str(), all.c_str(), count.c_str(), list);
    if (op_.outputs.size() > 1) {
      std::vector<std::string> members;
      for (size_t i = 0; i < outputs; ++i) {
        members.push_back(
            op_.outputs[i].arity == Arity::kVariadic
                ? absl::StrCat("std::vector<Value*>(values.begin() + ", i, ", values.end())")
                : absl::StrCat("values[", i, "]"));
      }
      std::printf("  return {%s};\n", absl::StrJoin(members, ", ").c_str());
    }
    std::printf("}\n");
  }

  // Split says how many outputs it has by an attribute, unless an input tells their sizes.
  void PrintCount(size_t inputs) {
    const bool told = inputs == op_.inputs.size() && op_.inputs.back().arity == Arity::kOptional;
    std::printf(
        "  AttrList list = Written(attrs);\n  if (!attrs.num_outputs%s) "
        "list.emplace_back(\"num_outputs\", "
        "static_cast<int64_t>(outputs));\n",
        told ? absl::StrCat(" && ", InputName(inputs - 1), " == nullptr").c_str() : "");
  }

  std::string InputName(size_t i) const { return Identifier(op_.inputs[i].name); }

  const OpDef& op_;
  const std::string attrs_name_;
};

}  // namespace
}  // namespace sluice

int main() {
  std::fputs(sluice::kHeader, stdout);
  for (const sluice::OpDef* op : sluice::StandardOps().Sorted()) {
    // FusedLoop and the like have bodies too; passes make them.
    if (op->bodies.empty() && !op->outputs.empty()) sluice::Generator(*op).Print();
  }
  std::fputs(sluice::kFooter, stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
