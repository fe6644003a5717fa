#include "bench/bench_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/machine.h"
#include "common/plot.h"
#include "common/table.h"

namespace flash_mla::cli {
namespace {

const char* lengths_of(const BenchCase& one) {
  return one.ragged ? "ragged" : "uniform";
}
const char* cache_of(const BenchCase& one) {
  return one.cold ? "cold" : "warm";
}

std::string percent(double share) {
  return fmt::format("{:.1f}", 100 * share);
}

/// Cases that share a panel of the plot.
std::string panel_title(const BenchCase& one) {
  return fmt::format("{} lengths, {} cache{}", lengths_of(one), cache_of(one),
                     one.mask.window > 0 ? fmt::format(", window {}", one.mask.window) : "");
}

Panel& panel_for(std::vector<Panel>& panels, const std::string& title) {
  const auto found =
      std::find_if(panels.begin(), panels.end(), [&](const Panel& panel) { return panel.title == title; });
  if (found != panels.end()) return *found;
  Panel panel;
  panel.title = title;
  panel.x_label = "query rows that share a key: h_q / h_kv * s_q";
  panel.y_label = "share of the roofline, %";
  panel.log_x = true;
  return panels.emplace_back(std::move(panel));
}

Series& series_for(Panel& panel, const std::string& label) {
  const auto found = std::find_if(panel.series.begin(), panel.series.end(),
                                  [&](const Series& series) { return series.label == label; });
  if (found != panel.series.end()) return *found;
  return panel.series.emplace_back(Series{label, {}, {}, false});
}

/// A line goes from left to right; where two cases have as many rows, it shows their mean.
void order_points(Series& series) {
  std::vector<std::pair<double, double>> points;
  for (size_t i = 0; i < series.x.size(); ++i) points.emplace_back(series.x[i], series.y[i]);
  std::sort(points.begin(), points.end());
  series.x.clear();
  series.y.clear();
  for (size_t i = 0; i < points.size();) {
    double sum = 0;
    size_t end = i;
    for (; end < points.size() && points[end].first == points[i].first; ++end) sum += points[end].second;
    series.x.push_back(points[i].first);
    series.y.push_back(sum / static_cast<double>(end - i));
    i = end;
  }
  series.points = series.x.size() == 1;  // a line needs two
}

}  // namespace

void print_roofline(const Roofline& roofline) {
  fmt::print("{}\n", this_machine().cpu);
  fmt::print(
      "{} on {}, {} threads: {} at {:.1f} GFLOP/s ({:.1f} % of {:.0f} FLOP/clock at {:.2f} GHz; one thread alone "
      "{:.1f}), "
      "reads {:.1f} GB/s ({})\n",
      roofline.backend, flash_mla::name_of(roofline.dtype), roofline.threads, roofline.instruction,
      roofline.peak_flops * 1e-9, 100 * roofline.peak_fraction(), roofline.flop_per_clock, roofline.clock_hz * 1e-9,
      roofline.single_flops * 1e-9, roofline.bandwidth * 1e-9, roofline.bandwidth_loop);
}

void print_rows(const std::vector<BenchRow>& rows) {
  Table table({"b", "s_q", "s_k", "h_q", "<lengths", "<cache", "n", "median us", "quartiles", "GFLOP/s", "GB/s",
               "<bound", "share %", "quartiles"});
  for (const BenchRow& row : rows) {
    const DecodeShape& shape = row.one.shape;
    const double seconds = row.seconds.median;
    table.add_row({fmt::format("{}", shape.batch), fmt::format("{}", shape.s_q), fmt::format("{}", row.one.s_k),
                   fmt::format("{}", shape.h_q), lengths_of(row.one), cache_of(row.one),
                   fmt::format("{}", row.repetitions), fmt::format("{:.1f}", seconds * 1e6),
                   fmt::format("{:.1f}-{:.1f}", row.seconds.low * 1e6, row.seconds.high * 1e6),
                   fmt::format("{:.1f}", row.work.flop / seconds * 1e-9),
                   fmt::format("{:.1f}", row.work.bytes / seconds * 1e-9), name_of(row.bound),
                   row.share ? percent(row.share->median) : "-",
                   row.share ? fmt::format("{}-{}", percent(row.share->low), percent(row.share->high)) : ""});
  }
  table.print();
}

Json rows_to_json(const std::vector<BenchRow>& rows, const Roofline& roofline) {
  Json json = Json::array();
  for (const BenchRow& row : rows) {
    const BenchCase& one = row.one;
    const DecodeShape& shape = one.shape;
    const double seconds = row.seconds.median;
    Json entry = {{"backend", roofline.backend},
                  {"dtype", flash_mla::name_of(shape.dtype)},
                  {"b", shape.batch},
                  {"s_q", shape.s_q},
                  {"s_k", one.s_k},
                  {"h_q", shape.h_q},
                  {"h_kv", shape.h_kv},
                  {"d", shape.d},
                  {"d_v", shape.d_v},
                  {"separate_v", shape.separate_v},
                  {"page", shape.page_size},
                  {"lengths", lengths_of(one)},
                  {"pages", one.ordered_pages ? "ordered" : "shuffled"},
                  {"window", one.mask.window},
                  {"sinks", one.mask.sinks},
                  {"causal", one.mask.causal},
                  {"threads", roofline.threads},
                  {"cache", cache_of(one)},
                  {"copies", row.copies},
                  {"tokens", one.tokens()},
                  {"flop", row.work.flop},
                  {"bytes", row.work.bytes},
                  {"repetitions", row.repetitions},
                  {"median_us", seconds * 1e6},
                  {"quartiles_us", {row.seconds.low * 1e6, row.seconds.high * 1e6}},
                  {"gflops", row.work.flop / seconds * 1e-9},
                  {"gbps", row.work.bytes / seconds * 1e-9},
                  {"bound", name_of(row.bound)},
                  {row.bound == Bound::compute ? "ceiling_gflops" : "ceiling_gbps", row.ceiling.median * 1e-9},
                  {"share", nullptr},
                  {"share_quartiles", nullptr}};
    if (row.share) {
      entry["share"] = row.share->median;
      entry["share_quartiles"] = {row.share->low, row.share->high};
    }
    json.push_back(std::move(entry));
  }
  return json;
}

Status plot_rows(const std::string& path, const std::vector<BenchRow>& rows, const Roofline& roofline) {
  std::vector<Panel> panels;
  for (const BenchRow& row : rows) {
    if (!row.share) continue;
    const DecodeShape& shape = row.one.shape;
    Panel& panel = panel_for(panels, panel_title(row.one));
    Series& series = series_for(panel, fmt::format("{} x {}", shape.batch, row.one.s_k));
    const int64_t rows_a_key = shape.h_q / shape.h_kv * shape.s_q;
    series.x.push_back(static_cast<double>(rows_a_key));
    series.y.push_back(100 * row.share->median);
  }
  for (Panel& panel : panels) {
    for (Series& series : panel.series) order_points(series);
  }
  const std::string title = fmt::format("MLA decode on {}: {}, {} threads, {}; lines are b x s_k", this_machine().cpu,
                                        roofline.backend, roofline.threads, flash_mla::name_of(roofline.dtype));
  return write_plot(path, title, panels);
}

}  // namespace flash_mla::cli
