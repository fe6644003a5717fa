#include "kv_cost/report.h"

#include <fmt/format.h>

#include "common/plot.h"
#include "common/table.h"

namespace flash_mla::cli {
namespace {

constexpr int64_t kFewKvHeads = 8;  // the usual GQA
constexpr int64_t kShortestPlotted = 256;
constexpr int64_t kLongestPlotted = int64_t{1} << 20;
constexpr double kGiB = 0x1p30;

std::string size(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 0x1p40) return fmt::format("{:.2f} TiB", value * 0x1p-40);
  if (value >= 0x1p30) return fmt::format("{:.2f} GiB", value * 0x1p-30);
  if (value >= 0x1p20) return fmt::format("{:.2f} MiB", value * 0x1p-20);
  if (value >= 0x1p10) return fmt::format("{:.1f} KiB", value * 0x1p-10);
  return fmt::format("{} B", bytes);
}

std::string count(std::optional<int64_t> value, int64_t unlimited) {
  if (!value) return "";
  return *value >= unlimited ? "any" : fmt::format("{}", *value);
}

std::string describe(const LayerGroup& group) {
  switch (group.kind) {
    case LayerGroup::Kind::heads:
      return fmt::format("{} KV heads, {} + {}", group.kv_heads, group.key, group.value);
    case LayerGroup::Kind::latent:
      return fmt::format("latent {} + rope {}", group.key, group.value);
    case LayerGroup::Kind::indexer:
      return fmt::format("{} + scale", group.key);
    case LayerGroup::Kind::none:
      break;
  }
  return "nothing";
}

const char* name_of(LayerGroup::Kind kind) {
  switch (kind) {
    case LayerGroup::Kind::heads:
      return "heads";
    case LayerGroup::Kind::latent:
      return "latent";
    case LayerGroup::Kind::indexer:
      return "indexer";
    case LayerGroup::Kind::none:
      break;
  }
  return "none";
}

void print_layers(const Answer& answer, const Precision& precision) {
  fmt::print("\n{} ({})\n", answer.model.name, answer.model.attention);
  Table table({"<layers", "count", "<a token and layer", "window", "bytes", "bytes, all"});
  for (const LayerGroup& group : answer.model.groups) {
    const int64_t bytes = group.token_bytes(precision);
    table.add_row({group.name, fmt::format("{}", group.layers), describe(group),
                   group.window == 0 ? "" : fmt::format("{}", group.window), fmt::format("{}", bytes),
                   fmt::format("{}", bytes * group.layers)});
  }
  table.print();
}

Json model_to_json(const Answer& answer, const Question& question) {
  Json json = {{"model", answer.model.name},
               {"attention", answer.model.attention},
               {"bytes_per_token", answer.bytes_per_token},
               {"bytes_per_token_past_windows", answer.bytes_per_token_past_windows},
               {"bytes", answer.bytes}};
  json["expanded_bytes_per_token"] = answer.expanded_bytes_per_token ? Json(*answer.expanded_bytes_per_token) : Json();
  if (question.budget > 0) {
    const bool bounded = *answer.longest_length < kLongestLength;
    json["budget"] = {{"bytes", question.budget},
                      {"longest_length", bounded ? Json(*answer.longest_length) : Json()},
                      {"largest_batch", *answer.largest_batch}};
  }
  json["layers"] = Json::array();
  for (const LayerGroup& group : answer.model.groups) {
    json["layers"].push_back({{"name", group.name},
                              {"kind", name_of(group.kind)},
                              {"layers", group.layers},
                              {"kv_heads", group.kv_heads},
                              {"key_width", group.key},
                              {"value_width", group.value},
                              {"window", group.window},
                              {"bytes_per_token", group.token_bytes(question.precision)}});
  }
  return json;
}

Series curve(const std::string& label, const ModelCache& model, const Question& question) {
  Series series{label, {}, {}};
  for (int64_t length = kShortestPlotted; length <= kLongestPlotted; length *= 2) {
    const Result<int64_t> bytes =
        cache_bytes(model, question.precision, {question.load.batch, length, question.load.page_size});
    if (!bytes.ok()) break;
    series.x.push_back(static_cast<double>(length));
    series.y.push_back(static_cast<double>(bytes.value()) / kGiB);
  }
  return series;
}

}  // namespace

Result<Answer> answer(const ModelCache& model, const Question& question) {
  const Result<int64_t> bytes = cache_bytes(model, question.precision, question.load);
  if (!bytes.ok()) return bytes.status();
  Answer answer;
  answer.model = model;
  answer.bytes_per_token = bytes_per_token(model, question.precision);
  answer.bytes_per_token_past_windows = bytes_per_token_past_windows(model, question.precision);
  answer.bytes = bytes.value();
  if (model.attention.rfind("MLA", 0) == 0 && model.head_value > 0) {
    answer.expanded_bytes_per_token = bytes_per_token(with_kv_heads(model, model.query_heads), Precision{});
  }
  if (question.budget > 0) {
    answer.longest_length = longest_length(model, question.precision, question.load, question.budget);
    answer.largest_batch = largest_batch(model, question.precision, question.load, question.budget);
  }
  return answer;
}

std::string describe(const Precision& precision) {
  if (precision.bits == 16) return "16 bits";
  std::string text = fmt::format("{} bits", precision.bits);
  text += precision.scale_group == 0
              ? ", no scales"
              : fmt::format(", a scale of {} bytes for each {}", precision.scale_bytes, precision.scale_group);
  return text + (precision.quantise_rope ? ", rope too" : ", rope at 16 bits");
}

void print_answers(std::span<const Answer> answers, const Question& question) {
  fmt::print("{} x {} tokens, pages of {}, {}", question.load.batch, question.load.length, question.load.page_size,
             describe(question.precision));
  fmt::print("{}\n\n", question.budget > 0 ? fmt::format(", budget {}", size(question.budget)) : "");
  std::vector<std::string> headers = {"<model",       "<attention",      "bytes a token",
                                      "past windows", "as MHA, 16 bits", "cache"};
  if (question.budget > 0) headers.insert(headers.end(), {"longest context", "largest batch"});
  Table table(headers);
  for (const Answer& one : answers) {
    table.add_row(
        {one.model.name, one.model.attention, fmt::format("{}", one.bytes_per_token),
         one.bytes_per_token_past_windows == one.bytes_per_token ? ""
                                                                 : fmt::format("{}", one.bytes_per_token_past_windows),
         one.expanded_bytes_per_token ? fmt::format("{}", *one.expanded_bytes_per_token) : "", size(one.bytes),
         count(one.longest_length, kLongestLength), count(one.largest_batch, kLargestBatch)});
  }
  table.print();
  constexpr size_t kShownInFull = 4;
  if (answers.size() > kShownInFull) return;
  for (const Answer& one : answers) print_layers(one, question.precision);
}

Json answer_to_json(const Answer& answer, const Question& question) {
  Json json = {
      {"batch", question.load.batch}, {"length", question.load.length}, {"page_size", question.load.page_size}};
  json["precision"] = {{"bits", question.precision.bits},
                       {"scale_group", question.precision.scale_group},
                       {"scale_bytes", question.precision.scale_bytes},
                       {"quantise_rope", question.precision.quantise_rope}};
  json.update(model_to_json(answer, question));
  return json;
}

Json answers_to_json(std::span<const Answer> answers, const Question& question) {
  Json json = report_head("kv-cost");
  json.update(answer_to_json(answers.front(), question));
  json["models"] = Json::array();
  for (const Answer& one : answers) json["models"].push_back(model_to_json(one, question));
  return json;
}

Status plot_answers(const std::string& path, std::span<const Answer> answers, const Question& question) {
  std::vector<Panel> panels;
  for (const Answer& one : answers) {
    Panel panel{one.model.name, "tokens a sequence", "GiB", true, true, false, {}};
    panel.series.push_back(curve(one.model.attention, one.model, question));
    const auto add = [&](const char* label, int64_t kv_heads) {
      const ModelCache other = with_kv_heads(one.model, kv_heads);
      if (other.groups.empty() || other.groups == one.model.groups) return;
      panel.series.push_back(curve(fmt::format("as {}, KV heads: {}", label, kv_heads), other, question));
    };
    add("MHA", one.model.query_heads);
    if (one.model.query_heads > kFewKvHeads) add("GQA", kFewKvHeads);
    add("MQA", 1);
    if (question.budget > 0) {
      const double budget = static_cast<double>(question.budget) / kGiB;
      panel.series.push_back(
          {"budget", {static_cast<double>(kShortestPlotted), static_cast<double>(kLongestPlotted)}, {budget, budget}});
    }
    panels.push_back(std::move(panel));
  }
  return write_plot(
      path,
      fmt::format("KV cache of {} sequence{}, pages of {}, {}", question.load.batch,
                  question.load.batch == 1 ? "" : "s", question.load.page_size, describe(question.precision)),
      panels);
}

}  // namespace flash_mla::cli
