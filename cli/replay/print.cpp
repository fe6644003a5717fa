#include <fmt/format.h>

#include "replay/output.h"

namespace flash_mla::cli {
namespace {

std::string count(int64_t number, const char* noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

/// 1234567 as "1,234,567".
std::string grouped(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string result;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result;
}

double mebibytes(int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

void line(const char* name, const std::string& text) {
  fmt::print("{:<10} {}\n", name, text);
}

void print_setting(const Replay& replay) {
  const RunConfig& config = replay.config;
  const ModelGeometry& model = config.model;
  const int64_t bytes = config.num_pages * config.page_size * model.kv_bytes() * config.layers;
  line("trace", fmt::format("{} ({})", replay.trace.name, name_of(replay.trace.format)));
  line("model", fmt::format("{}: {} heads, latent {} + rope {}, {} of {} layers, bfloat16", model.name, model.heads,
                            model.latent, model.rope, config.layers, model.layers));
  line("backend", fmt::format("{}, {}", config.backend, count(config.threads, "thread")));
  line("KV cache",
       fmt::format("{} pages of {} tokens ({} tokens, {:.0f} MiB over all layers)", grouped(config.num_pages),
                   config.page_size, grouped(config.num_pages * config.page_size), mebibytes(bytes)));
}

void print_work(const Replay& replay) {
  const RunResult& run = replay.run;
  const Summary& summary = replay.summary;
  const RunTimes& times = run.times;
  std::string ended = run.ending == Ending::complete      ? ""
                      : run.ending == Ending::interrupted ? "; interrupted"
                                                          : "; stopped at the time limit";
  line("requests", fmt::format("{} of {} finished, {}{}", grouped(run.finished), grouped(summary.total_requests),
                               count(run.preemptions, "preemption"), ended));
  line("tokens", fmt::format("{} generated in {} steps, {} of prompts written, {} found in the cache",
                             grouped(run.generated_tokens), grouped(static_cast<int64_t>(run.steps.size())),
                             grouped(run.prompt_tokens), grouped(run.shared_tokens)));
  line("time", fmt::format("{:.1f} s: decode {:.1f}, plan {:.2f}, append {:.2f}, prefill {:.2f}, verify {:.1f}",
                           times.total, times.decode, times.plan, times.append, times.prefill, times.verify));
}

void print_speed(const Replay& replay) {
  const Summary& summary = replay.summary;
  line("speed", fmt::format("{:.0f} tokens/s, {:.1f} sequences a step (mean), {} (most)", summary.tokens_per_s,
                            summary.mean_batch, summary.max_batch));
  line("step", fmt::format("{:.2f} ms (median), {:.2f} ms (p99)", 1e3 * summary.step_p50, 1e3 * summary.step_p99));
  line("work", fmt::format("{:.1f} GFLOP/s, {:.1f} GB/s", 1e-9 * summary.flops, 1e-9 * summary.bytes_per_s));
  if (!replay.roofline) return;
  const Roofline& roofline = *replay.roofline;
  std::string share = roofline.credible() ? fmt::format("{:.1f} % of the roofline", 100 * summary.share)
                                          : "an unknown share of the roofline, as the measured peak was disturbed";
  line("", fmt::format("= {}: {:.1f} GFLOP/s ({}), {:.1f} GB/s read", share, 1e-9 * roofline.peak_flops,
                       roofline.instruction, 1e-9 * roofline.bandwidth));
  line("", fmt::format("(compute is the bound of {:.0f} % of the work)", 100 * summary.compute_bound));
}

void print_memory(const Replay& replay) {
  const Summary& summary = replay.summary;
  line("pages",
       fmt::format("{:.1f} % of the pages in use (mean), and {:.1f} % of those filled (mean; least {:.1f} %)",
                   100 * summary.occupancy_mean, 100 * summary.utilisation_mean, 100 * summary.utilisation_min));
  line("waste", fmt::format("{:.1f} % with pages, {:.1f} % with max_len = {} tokens set aside for each sequence",
                            100 * (1 - summary.utilisation_mean), 100 * (1 - summary.preallocated_use),
                            grouped(summary.max_len)));
  line("", fmt::format("(this memory would hold {:.0f} such sequences)", summary.preallocated_batch));
}

void print_verified(const Replay& replay) {
  const RunResult& run = replay.run;
  if (run.samples_verified == 0) {
    line("verified", "nothing");
    return;
  }
  std::string verdict = run.samples_failed == 0 ? "all within tolerance" : fmt::format("{} FAILED", run.samples_failed);
  line("verified", fmt::format("{} samples against float64, {}: the worst is at {:.3g} of what is allowed",
                               run.samples_verified, verdict, run.worst.ratio_to_bar));
  line("", fmt::format("(errors: out {:.1e}, lse {:.1e}, cosine distance {:.1e})", run.worst.out_abs, run.worst.lse_abs,
                       run.worst.out_cos));
  if (run.samples_failed > 0) line("", fmt::format("(the first miss: {})", run.worst.first_miss));
}

}  // namespace

void print_replay(const Replay& replay) {
  print_setting(replay);
  print_work(replay);
  if (replay.run.steps.empty()) return;
  print_speed(replay);
  print_memory(replay);
  print_verified(replay);
}

}  // namespace flash_mla::cli
