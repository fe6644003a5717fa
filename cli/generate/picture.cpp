#include <fmt/format.h>

#include <filesystem>

#include "common/plot.h"
#include "generate/output.h"

namespace flash_mla::cli {
namespace {

constexpr size_t kPoints = 400;

/// Means of consecutive tokens; the first one, which waits for the prompt, is left out.
template <class Value>
Series series_of(const Run& run, Value&& value) {
  Series series;
  series.label = run.options.engine.keep_cache ? "with the KV cache" : "without";
  series.colour = run.options.engine.keep_cache ? 0 : 1;
  const std::vector<TokenTime>& times = run.answers[0].times;
  const size_t stride = (times.size() + kPoints - 1) / kPoints;
  for (size_t begin = 1; begin < times.size(); begin += stride) {
    const size_t end = std::min(begin + stride, times.size());
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += value(times[i]);
    series.x.push_back(static_cast<double>(times[end - 1].length));
    series.y.push_back(sum / static_cast<double>(end - begin));
  }
  return series;
}

}  // namespace

Status plot_run(const Run& run, const Run* other, const std::string& path) {
  Panel time{"Time a token", "", "ms", false, false, true, {}};
  Panel queries{"Tokens that the model runs for it", "", "tokens", false, false, true, {}};
  Panel pages{"Pages of the sequence", "tokens in the sequence", "pages", false, false, true, {}};
  for (const Run* one : {&run, other}) {
    if (one == nullptr) continue;
    time.series.push_back(series_of(*one, [](const TokenTime& token) { return 1e3 * token.seconds; }));
    queries.series.push_back(
        series_of(*one, [](const TokenTime& token) { return static_cast<double>(token.queries); }));
    if (one->options.engine.keep_cache) {
      pages.series.push_back(series_of(*one, [](const TokenTime& token) { return static_cast<double>(token.pages); }));
    }
  }
  const Panel panels[] = {std::move(time), std::move(queries), std::move(pages)};
  const std::string model = std::filesystem::path(run.options.model).lexically_normal().filename().string();
  return write_plot(
      path, fmt::format("{}, {}, backend {}", model, name_of(runtime::dtype_of(run.options.precision)), run.backend),
      panels);
}

}  // namespace flash_mla::cli
