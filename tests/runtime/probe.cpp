// Runs the runtime on token ids, for the Python tests: reads a JSON object from a file, prints one.
//   {"model": folder, "precision": "float32" | "bfloat16", "engine": {options}, "backend": name,
//    "logits": [[ids]...], "snapshot": path     -> "logits": [[[numbers]...]...], after every token; with a path, the
//    cache
//                                                  is saved there and restored before the last chunk
//    "generate": [{"prompt": [ids], "max_tokens": n, ...}...], "cancel_after": n
//                                               -> "tokens": [[ids]...], "statistics": {...}}
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/engine.h"

namespace flash_mla::runtime {
namespace {

using nlohmann::json;

int fail(const Status& status) {
  fmt::print(stderr, "{}\n", status.message());
  return 2;
}

EngineOptions options_of(const json& given) {
  EngineOptions options;
  options.page_size = given.value("page_size", options.page_size);
  options.cache_tokens = given.value("cache_tokens", options.cache_tokens);
  options.max_sequences = given.value("max_sequences", options.max_sequences);
  options.chunk = given.value("chunk", options.chunk);
  options.prefix_caching = given.value("prefix_caching", options.prefix_caching);
  options.keep_cache = given.value("keep_cache", options.keep_cache);
  const std::string form = given.value("prompt_form", "cheaper");
  options.prompt_form = form == "absorbed"   ? PromptForm::absorbed
                        : form == "expanded" ? PromptForm::expanded
                                             : PromptForm::cheaper;
  return options;
}

/// Logits after every token of a prompt, run in chunks through a cache of its own.
Result<json> all_logits(Model& model, const EngineOptions& options, const std::vector<int32_t>& prompt,
                        const std::string& snapshot) {
  KvCacheGeometry geometry;
  geometry.page_size = options.page_size;
  geometry.num_pages = static_cast<int64_t>(prompt.size()) / options.page_size + 1;
  geometry.max_sequences = 1;
  geometry.max_tokens = model.config().positions;
  KvCache cache = KvCache::make(geometry).value();
  CacheArrays arrays = CacheArrays::make(model.config(), model.precision(), geometry).value();
  const int64_t id = cache.add_sequence().value();
  json rows = json::array();
  const auto length = static_cast<int64_t>(prompt.size());
  for (int64_t first = 0; first < length; first += options.chunk) {
    if (!snapshot.empty() && first + options.chunk >= length) {
      if (Status status = cache.snapshot(snapshot, arrays.pages()); !status.ok()) return status;
      arrays = CacheArrays::make(model.config(), model.precision(), geometry).value();
      Result<KvCache> restored = KvCache::restore(snapshot, arrays.pages());
      if (!restored.ok()) return restored.status();
      cache = std::move(restored).value();
    }
    Step step;
    step.cache = &cache;
    step.arrays = &arrays;
    const int64_t count = std::min(options.chunk, length - first);
    step.segments = {{0, first, count, options.prompt_form == PromptForm::expanded && model.config().latent}};
    step.slots.resize(static_cast<size_t>(count));
    if (Status status = cache.append_tokens(id, step.slots); !status.ok()) return status;
    for (int64_t i = 0; i < count; ++i) {
      step.tokens.push_back(prompt[first + i]);
      step.positions.push_back(static_cast<int32_t>(first + i));
      step.logit_tokens.push_back(i);
    }
    const Result<std::span<const float>> logits = model.forward(step);
    if (!logits.ok()) return logits.status();
    const int64_t vocabulary = model.config().vocabulary;
    for (int64_t i = 0; i < count; ++i) {
      const auto row = logits.value().subspan(i * vocabulary, vocabulary);
      rows.push_back(std::vector<float>(row.begin(), row.end()));
    }
  }
  return rows;
}

Result<json> generate(Engine& engine, const json& given) {
  json tokens = json::array();
  for (const json& one : given["generate"]) {
    Request request;
    request.prompt = one["prompt"].get<std::vector<int32_t>>();
    request.max_tokens = one["max_tokens"].get<int64_t>();
    request.end_tokens = one.value("end_tokens", std::vector<int32_t>());
    request.sampling.temperature = one.value("temperature", 0.0);
    request.sampling.top_k = one.value("top_k", int64_t{0});
    request.sampling.top_p = one.value("top_p", 1.0);
    request.sampling.seed = one.value("seed", uint64_t{0});
    const Result<int64_t> added = engine.add(std::move(request));
    if (!added.ok()) return added.status();
    tokens.push_back(json::array());
  }
  const int64_t cancel_after = given.value("cancel_after", int64_t{0});
  while (engine.busy()) {
    const Result<std::vector<NewToken>> drawn = engine.step();
    if (!drawn.ok()) return drawn.status();
    for (const NewToken& one : drawn.value()) {
      json& own = tokens[one.request];
      own.push_back(one.token);
      if (one.finish != Finish::no || cancel_after == 0 || static_cast<int64_t>(own.size()) < cancel_after) continue;
      if (Status status = engine.cancel(one.request); !status.ok()) return status;
    }
  }
  return tokens;
}

json figures(Engine& engine) {
  const EngineStatistics& figures = engine.statistics();
  const KvCacheStatistics cache = engine.cache().statistics();
  return {{"preemptions", figures.preemptions},      {"hit_tokens", cache.hit_tokens},
          {"most_pages", figures.most_pages},        {"used_pages", cache.used_pages},
          {"steps", engine.records().size()},        {"prompt_tokens", figures.prompt_tokens},
          {"decode_tokens", figures.decode_tokens},  {"sequences", cache.sequences},
          {"verified", engine.cache().verify().ok()}};
}

int run(const json& given) {
  const bool half = given.value("precision", "float32") == "bfloat16";
  const EngineOptions options = options_of(given.value("engine", json::object()));
  ComputeOptions compute;
  compute.backend = given.value("backend", "");
  Result<Model> model = Model::load(given["model"].get<std::string>(), half ? Precision::bfloat16 : Precision::float32,
                                    compute, options.page_size);
  if (!model.ok()) return fail(model.status());
  json result;
  for (const json& prompt : given.value("logits", json::array())) {
    Result<json> rows =
        all_logits(model.value(), options, prompt.get<std::vector<int32_t>>(), given.value("snapshot", ""));
    if (!rows.ok()) return fail(rows.status());
    result["logits"].push_back(std::move(rows).value());
  }
  if (given.contains("generate")) {
    Result<Engine> engine = Engine::make(std::move(model).value(), options);
    if (!engine.ok()) return fail(engine.status());
    Result<json> tokens = generate(engine.value(), given);
    if (!tokens.ok()) return fail(tokens.status());
    result["tokens"] = std::move(tokens).value();
    result["statistics"] = figures(engine.value());
  }
  fmt::print("{}\n", result.dump());
  return 0;
}

}  // namespace
}  // namespace flash_mla::runtime

int main(int argc, char** argv) {
  std::ifstream file(argc > 1 ? argv[1] : "");
  const nlohmann::json given = nlohmann::json::parse(file, nullptr, false);
  if (!given.is_object()) {
    fmt::print(stderr, "usage: runtime_probe FILE\n");
    return 2;
  }
  return flash_mla::runtime::run(given);
}
