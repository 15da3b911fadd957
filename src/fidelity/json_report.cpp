#include "fidelity/json_report.h"

#include <nlohmann/json.hpp>

namespace bobby::fidelity {
namespace {

using Json = nlohmann::ordered_json;

Json kept_json(const DeltaKept& kept) {
  return {{"kept", kept.kept()}, {"noise", kept.lost()}, {"voice_lost", voice_lost(kept)}};
}

Json way_json(const WayResult& way, const Report& report) {
  const WayNumbers numbers = numbers_of(way, report.reference);
  return {{"way", way_name(way.way)},
          {"mean_kl", numbers.mean_divergence},
          {"p50_kl", numbers.p50_divergence},
          {"p99_kl", numbers.p99_divergence},
          {"max_kl", numbers.max_divergence},
          {"top1_agreement", numbers.top_agreement},
          {"top1_differs", numbers.top_differs},
          {"widest_margin_that_differs", numbers.widest_margin},
          {"perplexity", numbers.perplexity}};
}

}  // namespace

Json json_report(const Report& report) {
  Json json = {{"adapter", report.adapter},       {"adapter_kind", report.adapter_kind},
               {"model", report.model},           {"model_kind", report.model_kind},
               {"fused_type", report.fused_type}, {"requantized_type", report.requantized_type},
               {"seconds", report.seconds}};
  if (!report.reference.empty()) {
    json["data"] = report.data;
    json["posts"] = report.sequences;
    json["positions"] = report.reference.size();
    json["runtime"] = report.runtime;
    json["reference"] = {{"perplexity", report.reference_perplexity()}};
    for (const double margin : {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0})
      json["reference"]["margins"].push_back(
          {{"below", margin}, {"share", report.share_below(margin)}});
    for (const WayResult& way : report.ways) json["ways"].push_back(way_json(way, report));
  }
  const DeltaKept fused = total_fused(report);
  json["delta"] = {{"relative_size", fused.relative_size()},
                   {"fused", kept_json(fused)},
                   {"requantized", kept_json(total_requantized(report))}};
  for (const ModuleKept& module : report.modules)
    json["modules"].push_back({{"path", module.path},
                               {"relative_size", module.fused.relative_size()},
                               {"fused", kept_json(module.fused)},
                               {"requantized", kept_json(module.requantized)}});
  return json;
}

}  // namespace bobby::fidelity
