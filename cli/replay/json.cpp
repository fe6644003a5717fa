#include "replay/output.h"

namespace flash_mla::cli {
namespace {

Json settings(const Replay& replay) {
  const RunConfig& config = replay.config;
  const ModelGeometry& model = config.model;
  return {{"trace", replay.trace.name},
          {"format", name_of(replay.trace.format)},
          {"model", model.name},
          {"h_q", model.heads},
          {"d", model.d()},
          {"d_v", model.d_v()},
          {"dtype", "bfloat16"},
          {"layers", config.layers},
          {"model_layers", model.layers},
          {"page", config.page_size},
          {"pages", config.num_pages},
          {"kv_bytes", config.num_pages * config.page_size * model.kv_bytes() * config.layers},
          {"max_batch", config.max_batch},
          {"backend", config.backend},
          {"threads", config.threads},
          {"seed", config.seed}};
}

Json times(const RunTimes& times) {
  return {{"total", times.total},   {"decode", times.decode},   {"plan", times.plan},
          {"append", times.append}, {"prefill", times.prefill}, {"verify", times.verify}};
}

Json verified(const RunResult& run) {
  return {{"samples", run.samples_verified},
          {"failed", run.samples_failed},
          {"worst",
           {{"out_abs", run.worst.out_abs},
            {"out_cos", run.worst.out_cos},
            {"lse_abs", run.worst.lse_abs},
            {"ratio_to_bar", run.worst.ratio_to_bar}}}};
}

}  // namespace

Json to_json(const Replay& replay) {
  const RunResult& run = replay.run;
  const Summary& summary = replay.summary;
  Json json = report_head("replay");
  json["settings"] = settings(replay);
  json["ended"] = name_of(run.ending);
  json["requests"] = run.finished;
  json["requests_total"] = summary.total_requests;
  json["preemptions"] = run.preemptions;
  json["tokens"] = run.generated_tokens;
  json["prompt_tokens"] = run.prompt_tokens;
  json["shared_tokens"] = run.shared_tokens;
  json["steps"] = run.steps.size();
  json["seconds"] = times(run.times);
  json["tokens_per_s"] = summary.tokens_per_s;
  json["step_ms"] = {{"p50", 1e3 * summary.step_p50}, {"p99", 1e3 * summary.step_p99}};
  json["batch"] = {{"mean", summary.mean_batch}, {"max", summary.max_batch}};
  json["gflops"] = 1e-9 * summary.flops;
  json["gbps"] = 1e-9 * summary.bytes_per_s;
  json["share"] = summary.share;
  json["compute_bound"] = summary.compute_bound;
  json["roofline"] = replay.roofline ? to_json(*replay.roofline) : Json(nullptr);
  json["page_utilisation_mean"] = summary.utilisation_mean;
  json["page_utilisation_min"] = summary.utilisation_min;
  json["pool_occupancy_mean"] = summary.occupancy_mean;
  json["preallocation"] = {{"max_len", summary.max_len},
                           {"utilisation_mean", summary.preallocated_use},
                           {"sequences", summary.preallocated_batch}};
  json["verified"] = verified(run);
  return json;
}

}  // namespace flash_mla::cli
