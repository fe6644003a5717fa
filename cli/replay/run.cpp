#include "replay/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/interrupt.h"
#include "flash_mla/kv_cache.h"
#include "replay/batch_decoder.h"
#include "replay/scheduler.h"

namespace flash_mla::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Adds the time that a call takes to a sum.
template <class Call>
Status timed(double& sum, Call&& call) {
  const Clock::time_point start = Clock::now();
  Status status = std::forward<Call>(call)();
  sum += seconds_since(start);
  return status;
}

class Run {
 public:
  Run(const RunConfig& config, const Trace& trace, KvCache& pages, LatentCache& latents, Progress& progress)
      : config_(config),
        pages_(pages),
        latents_(latents),
        progress_(progress),
        scheduler_(trace.requests, pages),
        decoder_(config.model, config.mask(), config.max_batch, config.backend, config.threads, config.seed),
        samples_(config.samples, answer_tokens(trace), config.seed) {}

  Result<RunResult> go() {
    start_ = Clock::now();
    while (!scheduler_.done() && !must_stop()) {
      if (Status status = admit(); !status.ok()) return status;
      if (scheduler_.running().empty()) continue;
      if (Status status = step(); !status.ok()) return status;
    }
    result_.times.total = seconds_since(start_);
    result_.finished = scheduler_.num_finished();
    result_.preemptions = scheduler_.num_preemptions();
    if (!scheduler_.done()) result_.ending = interrupted() ? Ending::interrupted : Ending::time_limit;
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool must_stop() const {
    return interrupted() || (config_.time_limit > 0 && seconds_since(start_) >= config_.time_limit);
  }

  Status admit() {
    while (!must_stop()) {
      Result<const Sequence*> admitted = scheduler_.admit(slots_);
      if (!admitted.ok()) return admitted.status();
      const Sequence* sequence = admitted.value();
      if (sequence == nullptr) break;
      Status status = timed(result_.times.prefill, [&] { return latents_.write_prompt(*sequence, slots_); });
      if (!status.ok()) return status;
      result_.prompt_tokens += sequence->length - sequence->shared;
      result_.shared_tokens += sequence->shared;
    }
    return {};
  }

  /// A step that is stopped between two layers counts for nothing.
  Status step() {
    if (Status status = scheduler_.grow(slots_); !status.ok()) return status;
    const std::span<const Sequence> running = scheduler_.running();
    StepRecord record = describe(running);
    RunTimes times;
    Status status = timed(times.append, [&] { return latents_.write_step(running, slots_); });
    if (!status.ok()) return status;
    status = timed(times.plan, [&] { return decoder_.plan(pages_, last_row(running) + 1); });
    if (!status.ok()) return status;
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      if (must_stop()) return {};
      status = timed(times.decode, [&] {
        return decoder_.decode(pages_, latents_.layer(layer), static_cast<int64_t>(result_.steps.size()), layer);
      });
      if (!status.ok()) return status;
      status = timed(result_.times.verify, [&] { return verify(running, layer); });
      if (!status.ok()) return status;
    }

    record.seconds = times.append + times.plan + times.decode;
    record.at = seconds_since(start_);
    result_.times.append += times.append;
    result_.times.plan += times.plan;
    result_.times.decode += times.decode;
    result_.generated_tokens += record.batch;
    result_.steps.push_back(record);
    show_progress(record);
    return scheduler_.finish_step();
  }

  static int64_t last_row(std::span<const Sequence> running) {
    int64_t last = 0;
    for (const Sequence& sequence : running) last = std::max(last, sequence.row);
    return last;
  }

  [[nodiscard]] StepRecord describe(std::span<const Sequence> running) const {
    StepRecord record;
    record.batch = static_cast<int64_t>(running.size());
    record.tokens = pages_.num_tokens();
    record.used_pages = pages_.num_used_pages();
    record.filled = record.used_pages * config_.page_size - pages_.statistics().wasted_tokens;
    int64_t visible = 0;
    for (const Sequence& sequence : running) {
      visible += config_.window == 0 ? sequence.length : std::min(sequence.length, config_.window + config_.sinks);
    }
    const ModelGeometry& model = config_.model;
    const auto d = static_cast<double>(model.d());
    const auto d_v = static_cast<double>(model.d_v());
    const auto heads = static_cast<double>(model.heads);
    const auto tokens = static_cast<double>(visible);
    const auto layers = static_cast<double>(config_.layers);
    record.flop = layers * 2 * heads * tokens * (d + d_v);
    record.bytes = layers * 2 * (tokens * d + static_cast<double>(record.batch) * heads * (d + d_v));
    return record;
  }

  Status verify(std::span<const Sequence> running, int64_t layer) {
    const int64_t first = result_.generated_tokens;
    for (int64_t token : samples_.within(first, first + static_cast<int64_t>(running.size()))) {
      if (samples_.layer_of(token, config_.layers) != layer) continue;
      const int64_t first_head = samples_.first_head_of(token, config_.model.heads);
      Result<Errors> errors = verify_sample(decoder_.args(), config_.mask(), running[token - first].row, first_head);
      if (!errors.ok()) return errors.status();
      ++result_.samples_verified;
      result_.samples_failed += errors.value().missed_rows > 0;
      result_.worst.merge(errors.value());
    }
    return {};
  }

  void show_progress(const StepRecord& record) {
    const double pool = static_cast<double>(record.used_pages) / static_cast<double>(config_.num_pages);
    progress_.update(result_.generated_tokens, fmt::format("{} tokens, {} running, {:.0f} % of the pages",
                                                           result_.generated_tokens, record.batch, 100 * pool));
  }

  const RunConfig& config_;
  KvCache& pages_;
  LatentCache& latents_;
  Progress& progress_;
  Scheduler scheduler_;
  BatchDecoder decoder_;
  SampleChooser samples_;
  Clock::time_point start_;
  std::vector<int64_t> slots_;
  RunResult result_;
};

}  // namespace

const char* name_of(Ending ending) {
  switch (ending) {
    case Ending::complete:
      return "complete";
    case Ending::time_limit:
      return "time limit";
    case Ending::interrupted:
      return "interrupted";
  }
  return "unknown";
}

Result<RunResult> run_replay(const RunConfig& config, const Trace& trace, Progress& progress) {
  // The arrays first: they are the ones that may not fit.
  Result<LatentCache> latents = LatentCache::make(config.cache_shape(), config.seed);
  if (!latents.ok()) return latents.status();
  KvCacheOptions options;
  options.groups = {{config.page_size, config.window, config.sinks}};
  options.prefix_caching =
      config.prefix_caching && std::any_of(trace.requests.begin(), trace.requests.end(),
                                           [](const Request& request) { return !request.hash_ids.empty(); });
  options.hash_key = KvCacheHash{config.seed, config.seed};
  Result<KvCache> pages = KvCache::make(
      {config.num_pages, config.page_size, config.max_batch, std::max<int64_t>(longest_request(trace), 1)}, options);
  if (!pages.ok()) return pages.status();
  return Run(config, trace, pages.value(), latents.value(), progress).go();
}

}  // namespace flash_mla::cli
