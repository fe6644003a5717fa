#include <fmt/format.h>

#include <algorithm>

#include "common/table.h"
#include "generate/output.h"

namespace flash_mla::cli {
namespace {

std::string milliseconds(double seconds) {
  return fmt::format("{:.3f} ms", seconds * 1e3);
}

double mean_time(const Answer& answer, size_t first, size_t last) {
  double sum = 0;
  for (size_t i = first; i < last; ++i) sum += answer.times[i].seconds;
  return last > first ? sum / static_cast<double>(last - first) : 0;
}

/// How the time a token changes over an answer: its first and last quarter, the prompt's own token left out.
void add_times(const Answer& answer, Table& table) {
  const size_t count = answer.times.size();
  constexpr size_t kFewest = 9;
  if (count < kFewest) return;
  const size_t quarter = (count - 1) / 4;
  table.add_row({"time a token, first quarter", milliseconds(mean_time(answer, 1, 1 + quarter)),
                 fmt::format("{} to {} tokens long", answer.times[1].length, answer.times[quarter].length)});
  table.add_row(
      {"time a token, last quarter", milliseconds(mean_time(answer, count - quarter, count)),
       fmt::format("{} to {} tokens long", answer.times[count - quarter].length, answer.times[count - 1].length)});
}

}  // namespace

double rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

int64_t formula_bytes(const Run& run) {
  return run.statistics.most_cached_tokens * run.model.layers * run.model.cached_width() *
         runtime::bytes_of(run.options.precision);
}

void print_statistics(const Run& run) {
  const runtime::EngineStatistics& figures = run.statistics;
  const int64_t element = runtime::bytes_of(run.options.precision);
  Table table({"<statistics", "", "<"});
  table.add_row({"prefill", fmt::format("{:.0f} tokens/s", rate(figures.prompt_tokens, figures.prompt_seconds)),
                 fmt::format("{} tokens in {}", figures.prompt_tokens, milliseconds(figures.prompt_seconds))});
  table.add_row({"decode", fmt::format("{:.0f} tokens/s", rate(figures.decode_tokens, figures.decode_seconds)),
                 fmt::format("{} tokens in {}", figures.decode_tokens, milliseconds(figures.decode_seconds))});
  if (run.answers.size() == 1) add_times(run.answers[0], table);
  table.add_row(
      {"KV cache, in pages", fmt::format("{} bytes", figures.most_pages * run.cache_bytes_per_page),
       fmt::format("{} of {} pages of {} tokens", figures.most_pages, run.num_pages, run.options.engine.page_size)});
  table.add_row({"KV cache, by formula", fmt::format("{} bytes", formula_bytes(run)),
                 fmt::format("{} tokens x {} layers x {} numbers x {} bytes", figures.most_cached_tokens,
                             run.model.layers, run.model.cached_width(), element)});
  if (run.model.latent) {
    table.add_row(
        {"with keys and values a head",
         fmt::format("{} bytes", figures.most_cached_tokens * run.model.layers * run.model.expanded_width() * element),
         fmt::format("{} numbers instead of {}: {:.1f} times", run.model.expanded_width(), run.model.cached_width(),
                     static_cast<double>(run.model.expanded_width()) / static_cast<double>(run.model.cached_width()))});
  }
  table.add_row({"prefix cache", fmt::format("{} hits", run.cache.hit_tokens),
                 fmt::format("of {} prompt tokens", run.cache.query_tokens)});
  if (figures.preemptions > 0) table.add_row({"preemptions", fmt::format("{}", figures.preemptions), ""});
  table.print();
}

}  // namespace flash_mla::cli
