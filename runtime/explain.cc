#include "runtime/explain.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/format.h"
#include "graph/text.h"
#include "kernels/packed_weights.h"
#include "runtime/cost.h"
#include "runtime/json_text.h"

namespace sluice {
namespace {

std::string Describe(const Step& step) {
  return step.kernel ? step.kernel->Description() : step.dynamic->Description();
}

std::string Offset(const Slot& s) {
  return s.part_offset > 0 ? absl::StrCat("+", s.part_offset) : "";
}

}  // namespace

std::string Plan::ToString() const {
  std::string text = "plan {\n";
  absl::StrAppend(&text, "  arena ", arena_bytes_, " bytes, ", peak_live_bytes_,
                  " live at most, fullest at ", ShownValue(peak_node_),
                  "; weights packed: ", packed_bytes_, " bytes\n");
  auto place = [&](int index) -> std::string {
    const Slot& s = slots_[index];
    switch (s.kind) {
      case SlotKind::kNone:
        return "_";
      case SlotKind::kConstant:
        return absl::StrCat(ShownValue(s.name), " constant");
      case SlotKind::kInput:
        return absl::StrCat(ShownValue(s.name), " input ", s.index, Offset(s));
      case SlotKind::kArena:
        return absl::StrCat(ShownValue(s.name), " arena+", s.offset);
      case SlotKind::kOutput:
        return absl::StrCat(ShownValue(s.name), " output ", s.index, Offset(s));
      case SlotKind::kDynamic:
        return absl::StrCat(ShownValue(s.name), " dynamic ", s.index);
    }
    return "";
  };
  auto section = sections_.begin();
  auto run = slices_.begin();
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (run != slices_.end() && run->first == static_cast<int>(i)) {
      absl::StrAppend(&text, "  depth first: steps ", run->first, " to ", run->last - 1, " in ",
                      run->slices, " slices of ", run->rows, " rows\n");
      ++run;
    }
    if (section != sections_.end() && section->first == static_cast<int>(i)) {
      absl::StrAppend(&text, "  side by side:");
      for (const std::vector<int>& lane : section->lanes) {
        absl::StrAppend(&text, " [", absl::StrJoin(lane, " "), "]");
      }
      text += "\n";
      ++section;
    }
    std::vector<std::string> in, out;
    for (int s : step.inputs) in.push_back(place(s));
    for (int s : step.reads) in.push_back(place(s));
    for (size_t k = 0; k < step.outputs.size(); ++k) {
      out.push_back(absl::StrCat(place(step.outputs[k]), ": ", step.output_types[k].ToString()));
    }
    absl::StrAppend(&text, "  #", i, " ", absl::StrJoin(out, ", "), " = ", step.node->op_name(),
                    "(", absl::StrJoin(in, ", "), ") {", Describe(step), "}");
    if (step.scratch_offset >= 0)
      absl::StrAppend(&text, " scratch arena+", step.scratch_offset, " ",
                      step.kernel->scratch_bytes(), " bytes");
    text += "\n";
  }
  std::vector<std::string> results;
  for (const PlanOutput& o : outputs_) {
    results.push_back(
        absl::StrCat(place(o.slot), o.direct ? "" : " copied",
                     o.renews < 0 ? "" : absl::StrCat(" in place of input ", o.renews)));
  }
  absl::StrAppend(&text, "  return ", absl::StrJoin(results, ", "), "\n}\n");
  return text;
}

std::string ExplainText(const Compiled& c, int threads) {
  std::string text =
      absl::StrCat("Compiled in ", Format("%.2f ms: ", c.milliseconds), c.nodes_after, " nodes, ",
                   c.nodes_before, " before the passes; ", threads, " threads\n\nPasses\n");
  for (const PassReport& p : c.report.passes) {
    AppendFormat(&text, "  %-32s %4d applied %4d refused %8.2f ms %6zu -> %zu nodes\n",
                 p.pass.c_str(), p.applied, p.refused, p.milliseconds, size_t{p.nodes_before},
                 size_t{p.nodes_after});
  }
  // The same reason many times is one line with a count.
  std::map<std::string, std::pair<int, std::string>> groups;
  for (const Finding& f : c.report.findings) {
    auto& [count, first] =
        groups[absl::StrCat(f.pass, ": ", f.applied ? "applied" : "refused", ": ", f.reason)];
    if (count++ == 0) first = ShownValue(f.node);
  }
  text += "\nFindings\n";
  for (const auto& [what, where] : groups) {
    absl::StrAppend(&text, "  ", what,
                    where.first > 1
                        ? absl::StrCat(" (", where.first, " places, first ", where.second, ")")
                        : absl::StrCat(" (", where.second, ")"),
                    "\n");
  }
  std::shared_ptr<const Plan> plan = c.program->Latest();
  if (plan == nullptr) {
    text += "\nNo plan yet: run once, or the inputs' extents are open.\n";
    return text;
  }
  struct Group {
    int steps = 0;
    double flops = 0, bytes = 0;
  };
  std::map<std::string, Group> kernels;
  Group all;
  for (const Step& s : plan->steps()) {
    const NodeCost cost = CostOf(*s.node);
    Group& group =
        kernels[absl::StrCat(s.node->op_name(), " by ", Describe(s),
                             s.choice.empty() ? "" : absl::StrCat(" (others: ", s.choice, ")"))];
    for (Group* g : {&group, &all}) {
      ++g->steps;
      g->flops += cost.flops;
      g->bytes += cost.bytes;
    }
  }
  AppendFormat(&text, "\nKernels of the latest plan: %d steps, %.4g MFLOP, %.4g MB moved\n",
               all.steps, all.flops / 1e6, all.bytes / 1e6);
  for (const Section& section : plan->sections()) {
    absl::StrAppend(&text, "  steps ", section.first, " to ", section.last - 1,
                    " run side by side in ", section.lanes.size(), " lanes\n");
  }
  for (const SliceRun& run : plan->slices()) {
    absl::StrAppend(&text, "  steps ", run.first, " to ", run.last - 1, " run depth first, in ",
                    run.slices, " slices of ", run.rows, " rows\n");
  }
  if (!plan->slices().empty()) {
    absl::StrAppend(&text, "  the slices save ", FormatNanoseconds(plan->slices_saved_ns()),
                    " of waiting for memory, by the estimate\n");
  }
  for (const auto& [what, group] : kernels) {
    AppendFormat(&text, "  %4d x %9.3f MFLOP %9.3f MB  %s\n", group.steps, group.flops / 1e6,
                 group.bytes / 1e6, what.c_str());
  }
  absl::StrAppend(&text, "\nMemory: arena ", plan->arena_bytes(), " bytes, fullest at ",
                  ShownValue(plan->peak_node()), "; packed weights ", plan->packed_bytes(),
                  " bytes\n");
  const PackedWeights::Counts packed = c.packed->counts();
  absl::StrAppend(&text, "Specialised in ", Format("%.2f ms", plan->specialise_ms()),
                  "; weights packed: ", packed.made, " made, ", packed.shared,
                  " shared with another plan, ", packed.from_saved, " from the file");
  if (packed.damaged > 0)
    absl::StrAppend(&text, ", ", packed.damaged, " damaged there and packed again");
  text += "\n";
  if (!c.packed_note.empty()) absl::StrAppend(&text, "Packed weights: ", c.packed_note, "\n");
  return text;
}

std::string ExplainJson(const Compiled& c, int threads) {
  std::vector<JsonText> passes, findings;
  for (const PassReport& p : c.report.passes) {
    passes.push_back(JsonObject({{"pass", p.pass},
                                 {"runs", p.runs},
                                 {"applied", p.applied},
                                 {"refused", p.refused},
                                 {"milliseconds", p.milliseconds},
                                 {"nodes_before", p.nodes_before},
                                 {"nodes_after", p.nodes_after}}));
  }
  for (const Finding& f : c.report.findings) {
    findings.push_back(JsonObject(
        {{"pass", f.pass}, {"node", f.node}, {"applied", f.applied}, {"reason", f.reason}}));
  }
  std::vector<JsonMember> members = {
      {"milliseconds", c.milliseconds}, {"threads", threads},
      {"nodes_before", c.nodes_before}, {"nodes_after", c.nodes_after},
      {"passes", JsonArray(passes)},    {"findings", JsonArray(findings)}};
  if (std::shared_ptr<const Plan> plan = c.program->Latest(); plan != nullptr) {
    std::vector<JsonText> steps, sections, slices;
    for (const Step& s : plan->steps()) {
      const NodeCost cost = CostOf(*s.node);
      steps.push_back(JsonObject({{"node", s.node->name()},
                                  {"op", s.node->op_name()},
                                  {"kernel", Describe(s)},
                                  {"type", s.output_types[0].ToString()},
                                  {"others", s.choice},
                                  {"flops", cost.flops},
                                  {"bytes", cost.bytes},
                                  {"origin", s.node->origin().ToString()}}));
    }
    for (const Section& s : plan->sections()) {
      std::vector<JsonText> lanes;
      for (const std::vector<int>& lane : s.lanes)
        lanes.push_back(JsonArray(std::vector<JsonText>(lane.begin(), lane.end())));
      sections.push_back(JsonArray(lanes));
    }
    for (const SliceRun& s : plan->slices()) {
      slices.push_back(JsonObject(
          {{"first", s.first}, {"last", s.last}, {"slices", s.slices}, {"rows", s.rows}}));
    }
    const PackedWeights::Counts packed = c.packed->counts();
    members.push_back({"plan", JsonObject({{"arena_bytes", plan->arena_bytes()},
                                           {"peak_node", plan->peak_node()},
                                           {"packed_bytes", plan->packed_bytes()},
                                           {"specialise_ms", plan->specialise_ms()},
                                           {"weights_made", packed.made},
                                           {"weights_shared", packed.shared},
                                           {"weights_from_file", packed.from_saved},
                                           {"weights_damaged", packed.damaged},
                                           {"packed_note", c.packed_note},
                                           {"steps", JsonArray(steps)},
                                           {"side_by_side", JsonArray(sections)},
                                           {"slices", JsonArray(slices)},
                                           {"slices_saved_ns", plan->slices_saved_ns()}})});
  }
  return JsonObject(members).text;
}

std::string Profile::ToChromeTrace() const {
  std::vector<JsonText> list;
  for (const ProfileEvent& e : events) {
    const JsonText details = JsonObject(
        {{"op", e.op},
         {"kernel", e.kernel},
         {"type", e.output_type},
         {"origin", e.origin},
         {"flops", e.flops},
         {"bytes", e.bytes},
         {"share of peak", e.flops / std::max(1e-9, e.duration_ns * peak_flops_per_ns)}});
    list.push_back(JsonObject({{"name", e.node},
                               {"cat", e.op},
                               {"ph", "X"},
                               {"ts", e.start_ns / 1e3},
                               {"dur", e.duration_ns / 1e3},
                               {"pid", 1},
                               {"tid", e.thread},
                               {"args", details}}));
  }
  return JsonObject({{"traceEvents", JsonArray(list)}, {"displayTimeUnit", "ns"}}).text;
}

}  // namespace sluice
