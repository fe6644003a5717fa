#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/plot.h"
#include "replay/output.h"

namespace flash_mla::cli {
namespace {

constexpr size_t kPoints = 1000;  // about one a pixel

/// Means of consecutive steps, so that a long run stays a small picture.
template <class Value>
Series series_of(const std::vector<StepRecord>& steps, std::string label, Value&& value) {
  Series series;
  series.label = std::move(label);
  const size_t stride = (steps.size() + kPoints - 1) / kPoints;
  for (size_t begin = 0; begin < steps.size(); begin += stride) {
    const size_t end = std::min(begin + stride, steps.size());
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += value(steps[i]);
    series.x.push_back(steps[end - 1].at);
    series.y.push_back(sum / static_cast<double>(end - begin));
  }
  return series;
}

}  // namespace

Status plot_replay(const Replay& replay, const std::string& path) {
  const RunConfig& config = replay.config;
  const std::vector<StepRecord>& steps = replay.run.steps;
  const auto page_size = static_cast<double>(config.page_size);
  const auto num_pages = static_cast<double>(config.num_pages);

  Panel batch{"Batch", "", "sequences", false, false, true, {}};
  batch.series.push_back(
      series_of(steps, "running", [](const StepRecord& step) { return static_cast<double>(step.batch); }));

  Panel pages{"KV cache", "", "%", false, false, true, {}};
  pages.series.push_back(series_of(steps, "pages in use", [&](const StepRecord& step) {
    return 100 * static_cast<double>(step.used_pages) / num_pages;
  }));
  pages.series.push_back(series_of(steps, "filled, of those", [&](const StepRecord& step) {
    return 100 * static_cast<double>(step.filled) / (static_cast<double>(step.used_pages) * page_size);
  }));

  Panel time{"Step", "seconds since the start", "ms", false, false, true, {}};
  time.series.push_back(series_of(steps, "measured", [](const StepRecord& step) { return 1e3 * step.seconds; }));
  if (replay.roofline) {
    time.series.push_back(series_of(steps, "roofline", [&](const StepRecord& step) {
      return 1e3 * bound_time(*replay.roofline, step.flop, step.bytes).seconds;
    }));
  }

  const Panel panels[] = {std::move(batch), std::move(pages), std::move(time)};
  return write_plot(path,
                    fmt::format("{}: {}, layers: {}, {}, threads: {}", replay.trace.name, config.model.name,
                                config.layers, config.backend, config.threads),
                    panels);
}

}  // namespace flash_mla::cli
