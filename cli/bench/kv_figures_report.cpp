#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "bench/kv_figures.h"
#include "common/plot.h"
#include "common/table.h"

namespace flash_mla::cli {
namespace {

std::string percent(double part, int digits = 1) {
  return fmt::format("{:.{}f} %", 100 * part, digits);
}

std::string name_of_capacity(int64_t capacity) {
  return capacity == kUnboundedCapacity ? "unbounded" : fmt::format("{}", capacity);
}

std::string label_of(const TraceFigures& figures) {
  return std::filesystem::path(figures.trace).stem();
}

Panel hit_rate_panel(std::span<const TraceFigures> figures) {
  Panel panel{
      "Prefix hits of an LRU cache", "capacity, blocks of 512 tokens", "% of the blocks", true, false, true, {}};
  for (size_t i = 0; i < figures.size(); ++i) {
    const TraceFigures& one = figures[i];
    if (one.hit_rates.empty()) continue;
    Series series{label_of(one), {}, {}, false, static_cast<int>(i)};
    for (const HitRate& rate : one.hit_rates) {
      if (rate.capacity == kUnboundedCapacity) continue;
      series.x.push_back(static_cast<double>(rate.capacity));
      series.y.push_back(100 * rate.rate);
    }
    panel.series.push_back(std::move(series));
  }
  return panel;
}

/// A point for each reservation, all traces beside each other.
template <class Row, class Value>
Panel reservation_panel(std::string title, std::string y_label, std::span<const TraceFigures> figures,
                        std::vector<Row> TraceFigures::*rows, Value&& value) {
  Panel panel{std::move(title), "", std::move(y_label), false, false, true, {}};
  for (const Row& row : figures.front().*rows) {
    const bool max_len = row.reservation.kind == Reservation::Kind::fixed;
    panel.x_names.push_back(max_len ? "max_len" : row.reservation.name());
  }
  double shift = -0.04 * static_cast<double>(figures.size() - 1);
  for (const TraceFigures& one : figures) {
    Series series{label_of(one), {}, {}, true};
    for (size_t i = 0; i < (one.*rows).size(); ++i) {
      series.x.push_back(static_cast<double>(i) + shift);
      series.y.push_back(value(one, (one.*rows)[i]));
    }
    shift += 0.08;
    panel.series.push_back(std::move(series));
  }
  return panel;
}

}  // namespace

void print_figures(const TraceFigures& figures) {
  fmt::print("{}: {} requests\n\n", figures.trace, figures.requests);
  if (!figures.hit_rates.empty()) {
    fmt::print("Prefix hits of an LRU cache, of {} blocks of 512 tokens\n", figures.blocks);
    Table table({"capacity, blocks", "hits"});
    for (const HitRate& rate : figures.hit_rates) table.add_row({name_of_capacity(rate.capacity), percent(rate.rate)});
    table.print();
    fmt::print("\n");
  }
  fmt::print("Memory held that holds no token\n");
  Table waste({"<held", "while answering", "every step counted", "at the end"});
  for (const WasteRow& row : figures.waste) {
    waste.add_row({row.reservation.name(), percent(row.waste.sampled, 2), percent(row.waste.every_step, 2),
                   percent(row.at_end, 2)});
  }
  waste.print();
  fmt::print("\nWhile requests wait for a cache of {} tokens: five shuffles, seeds 0 to 4\n", figures.budget);
  Table queue({"<held", "batch, seed 0", "batch, mean", "of max_len's", "KV used, seed 0", "KV used, mean", "lowest",
               "highest", "preempted, seed 0"});
  for (const QueueRow& row : figures.queue) {
    queue.add_row({row.reservation.name(), fmt::format("{:.0f}", row.first.mean_batch),
                   fmt::format("{:.1f}", row.mean_batch),
                   fmt::format("{:.1f} x", row.first.mean_batch / figures.queue.front().first.mean_batch),
                   percent(row.first.utilisation), percent(row.utilisation), percent(row.lowest_utilisation),
                   percent(row.highest_utilisation), fmt::format("{}", row.first.preemptions)});
  }
  queue.print();
  fmt::print("\n");
}

Json to_json(const TraceFigures& figures) {
  Json json = {{"trace", figures.trace}, {"requests", figures.requests}};
  json["lru"] = {{"blocks", figures.blocks}, {"rows", Json::array()}};
  for (const HitRate& rate : figures.hit_rates) {
    Json capacity = rate.capacity == kUnboundedCapacity ? Json() : Json(rate.capacity);
    json["lru"]["rows"].push_back({{"capacity", capacity}, {"hit_rate", rate.rate}});
  }
  json["waste"] = Json::array();
  for (const WasteRow& row : figures.waste) {
    json["waste"].push_back({{"held", row.reservation.name()},
                             {"sampled", row.waste.sampled},
                             {"every_step", row.waste.every_step},
                             {"at_end", row.at_end}});
  }
  json["queue"] = {{"budget_tokens", figures.budget}, {"seeds", {0, 1, 2, 3, 4}}, {"rows", Json::array()}};
  for (const QueueRow& row : figures.queue) {
    json["queue"]["rows"].push_back({{"held", row.reservation.name()},
                                     {"batch_seed_0", row.first.mean_batch},
                                     {"batch_mean", row.mean_batch},
                                     {"utilisation_seed_0", row.first.utilisation},
                                     {"utilisation_mean", row.utilisation},
                                     {"utilisation_lowest", row.lowest_utilisation},
                                     {"utilisation_highest", row.highest_utilisation},
                                     {"steps_seed_0", row.first.steps},
                                     {"preemptions_seed_0", row.first.preemptions}});
  }
  return json;
}

Status plot_figures(const std::string& path, std::span<const TraceFigures> figures) {
  std::vector<Panel> panels;
  if (Panel hits = hit_rate_panel(figures); !hits.series.empty()) panels.push_back(std::move(hits));
  panels.push_back(reservation_panel("Memory held that holds no token, while answering", "%", figures,
                                     &TraceFigures::waste,
                                     [](const TraceFigures&, const WasteRow& row) { return 100 * row.waste.sampled; }));
  panels.push_back(reservation_panel("Cache used while requests wait", "% of its tokens", figures, &TraceFigures::queue,
                                     [](const TraceFigures&, const QueueRow& row) { return 100 * row.utilisation; }));
  panels.push_back(reservation_panel(
      "Batch while requests wait", "times that of max_len", figures, &TraceFigures::queue,
      [](const TraceFigures& one, const QueueRow& row) { return row.mean_batch / one.queue.front().mean_batch; }));
  return write_plot(path, "What paging and prefix sharing are worth", panels);
}

}  // namespace flash_mla::cli
