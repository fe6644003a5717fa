#include "generate/output.h"

namespace flash_mla::cli {
namespace {

Json to_json(const Answer& answer) {
  Json times = Json::array();
  for (const TokenTime& time : answer.times) {
    times.push_back({{"length", time.length}, {"queries", time.queries}, {"pages", time.pages}, {"s", time.seconds}});
  }
  return {{"prompt", answer.prompt}, {"prompt_tokens", answer.prompt_tokens},
          {"text", answer.text},     {"tokens", answer.tokens},
          {"finish", answer.finish}, {"times", std::move(times)},
          {"pages", answer.pages}};
}

}  // namespace

Json to_json(const Run& run) {
  const runtime::EngineOptions& engine = run.options.engine;
  const runtime::EngineStatistics& figures = run.statistics;
  const int64_t element = runtime::bytes_of(run.options.precision);
  Json json = report_head("generate");
  json["model"] = {{"folder", run.options.model},
                   {"layers", run.model.layers},
                   {"heads", run.model.heads},
                   {"kv_heads", run.model.kv_heads},
                   {"cached_numbers_per_token_and_layer", run.model.cached_width()},
                   {"expanded_numbers_per_token_and_layer", run.model.expanded_width()},
                   {"weight_bytes", run.weight_bytes}};
  json["options"] = {{"precision", name_of(runtime::dtype_of(run.options.precision))},
                     {"backend", run.backend},
                     {"cache", engine.keep_cache},
                     {"prefix_caching", engine.keep_cache && engine.prefix_caching},
                     {"page_size", engine.page_size},
                     {"cache_tokens", engine.cache_tokens},
                     {"max_sequences", engine.max_sequences},
                     {"chunk", engine.chunk},
                     {"temperature", run.options.sampling.temperature},
                     {"top_k", run.options.sampling.top_k},
                     {"top_p", run.options.sampling.top_p},
                     {"seed", run.options.sampling.seed}};
  json["answers"] = Json::array();
  for (const Answer& answer : run.answers) json["answers"].push_back(to_json(answer));
  json["statistics"] = {{"load_s", run.load_seconds},
                        {"s", run.seconds},
                        {"prefill_tokens", figures.prompt_tokens},
                        {"prefill_s", figures.prompt_seconds},
                        {"prefill_tokens_per_s", rate(figures.prompt_tokens, figures.prompt_seconds)},
                        {"decode_tokens", figures.decode_tokens},
                        {"decode_s", figures.decode_seconds},
                        {"decode_tokens_per_s", rate(figures.decode_tokens, figures.decode_seconds)},
                        {"pages", figures.most_pages},
                        {"cache_bytes", figures.most_pages * run.cache_bytes_per_page},
                        {"cached_tokens", figures.most_cached_tokens},
                        {"formula_bytes", formula_bytes(run)},
                        {"bytes_per_token", run.model.layers * run.model.cached_width() * element},
                        {"hit_tokens", run.cache.hit_tokens},
                        {"query_tokens", run.cache.query_tokens},
                        {"preemptions", figures.preemptions}};
  json["steps"] = Json::array();
  for (const runtime::StepRecord& step : run.steps) {
    json["steps"].push_back({{"sequences", step.sequences},
                             {"queries", step.queries},
                             {"keys", step.keys},
                             {"pages", step.pages},
                             {"s", step.seconds}});
  }
  return json;
}

}  // namespace flash_mla::cli
