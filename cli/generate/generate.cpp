// `flash_mla generate`: text from a model in a Hugging Face folder, through the paged KV cache.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/interrupt.h"
#include "common/plot.h"
#include "common/verb.h"
#include "generate/model_folder.h"
#include "generate/output.h"

namespace flash_mla::cli {
namespace {

struct Options {
  std::vector<std::string> prompts;
  std::string batch;
  std::string precision = "auto";
  std::string prompt_form = "auto";
  std::optional<double> temperature;
  std::optional<int64_t> top_k;
  std::optional<double> top_p;
  bool no_cache = false;
  bool no_prefix_cache = false;
  bool ignore_end = false;
  bool quiet = false;
  std::string plot;
  std::string explain;
  std::string json;
  RunOptions run;
};

/// One prompt a line; empty lines are left out.
Result<std::vector<std::string>> read_prompts(const Options& options) {
  std::vector<std::string> prompts = options.prompts;
  if (!options.batch.empty()) {
    std::ifstream file(options.batch, std::ios::binary);
    std::string line;
    if (!file) return Status{StatusCode::io_error, fmt::format("--batch '{}' cannot be read", options.batch)};
    while (std::getline(file, line)) {
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) prompts.push_back(line);
    }
  }
  if (prompts.empty()) {
    return Status{StatusCode::invalid_argument, "no prompt: name one, or a file with --batch"};
  }
  return prompts;
}

Status complete(Options& options) {
  RunOptions& run = options.run;
  if (run.model.empty()) run.model = carried_model();
  if (run.model.empty()) return {StatusCode::not_found, "no model came with this program: name a folder with --model"};
  const Result<runtime::ModelConfig> model = runtime::read_model_config(run.model);
  if (!model.ok()) return model.status();
  const Result<runtime::GenerationConfig> generation = runtime::read_generation_config(run.model, model.value());
  if (!generation.ok()) return generation.status();
  const bool half =
      options.precision == "auto" ? model.value().stored_type == "bfloat16" : options.precision == "bfloat16";
  run.precision = half ? runtime::Precision::bfloat16 : runtime::Precision::float32;
  const bool sample = generation.value().sample;
  run.sampling.temperature = options.temperature.value_or(sample ? generation.value().temperature : 0);
  run.sampling.top_k = options.top_k.value_or(sample ? generation.value().top_k : 0);
  run.sampling.top_p = options.top_p.value_or(sample ? generation.value().top_p : 1);
  if (!options.ignore_end) run.end_tokens = generation.value().end_tokens;
  run.engine.keep_cache = !options.no_cache;
  run.engine.prefix_caching = !options.no_prefix_cache;
  run.engine.prompt_form = options.prompt_form == "absorbed"   ? runtime::PromptForm::absorbed
                           : options.prompt_form == "expanded" ? runtime::PromptForm::expanded
                                                               : runtime::PromptForm::cheaper;
  return {};
}

Status check_outputs(const Options& options) {
  if (!options.plot.empty()) {
    if (Status status = check_plot(options.plot); !status.ok()) return status;
  }
  for (const std::string* path : {&options.json, &options.explain}) {
    if (path->empty()) continue;
    if (Status status = check_writable(*path); !status.ok()) return status;
  }
  return {};
}

void print_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

/// The first prompt's run the other way, for plots and explanations.
Result<Run> run_other_way(const Run& run, const runtime::Tokenizer& tokenizer) {
  RunOptions options = run.options;
  options.engine.keep_cache = !options.engine.keep_cache;
  options.engine.cache_tokens = 0;
  options.max_tokens = static_cast<int64_t>(run.answers[0].tokens.size());
  return generate(options, tokenizer, {run.answers[0].prompt}, {});
}

int run_verb(Options options) {
  Result<std::vector<std::string>> prompts = read_prompts(options);
  if (!prompts.ok()) return fail(prompts.status());
  if (Status status = complete(options); !status.ok()) return fail(status);
  if (Status status = check_outputs(options); !status.ok()) return fail(status);
  const std::string vocabulary = (std::filesystem::path(options.run.model) / "tokenizer.json").string();
  const Result<runtime::Tokenizer> tokenizer = runtime::Tokenizer::load(vocabulary);
  if (!tokenizer.ok()) return fail(tokenizer.status());

  catch_interrupts();
  const bool single = prompts.value().size() == 1;
  const OnText stream = [](size_t, std::string_view text) { print_text(text); };
  const Result<Run> run = generate(options.run, tokenizer.value(), prompts.value(), single ? stream : OnText());
  if (!run.ok()) return fail(run.status());
  for (size_t i = 0; !single && i < run.value().answers.size(); ++i) {
    const Answer& answer = run.value().answers[i];
    fmt::print("[{}] {} -> {}\n", i + 1, answer.prompt, answer.text);
  }
  if (single) fmt::print("\n");
  if (!options.quiet) {
    fmt::print("\n");
    print_statistics(run.value());
  }
  if (!options.json.empty()) {
    if (Status status = write_json(options.json, to_json(run.value())); !status.ok()) return fail(status);
  }
  const bool both = !options.plot.empty() || !options.explain.empty();
  if (!both || run.value().answers[0].tokens.empty()) return kExitOk;
  const Result<Run> other = run_other_way(run.value(), tokenizer.value());
  if (!other.ok()) return fail(other.status());
  if (other.value().answers[0].tokens != run.value().answers[0].tokens) {
    warn("with and without the cache, other tokens came: roundings differ where two tokens are as likely");
  }
  if (!options.plot.empty()) {
    if (Status status = plot_run(run.value(), &other.value(), options.plot); !status.ok()) return fail(status);
    fmt::print("\nplot       {}\n", options.plot);
  }
  if (!options.explain.empty()) {
    Status status = write_explanation(run.value(), &other.value(), tokenizer.value(), options.explain);
    if (!status.ok()) return fail(status);
    fmt::print("\nexplained  {}\n", options.explain);
  }
  return kExitOk;
}

template <class Value, class Check>
CLI::Option* add_value(CLI::App& verb, const char* name, Value& value, const char* type, Check check,
                       const char* description) {
  return verb.add_option(name, value, description)->type_name(type)->check(std::move(check.description("")));
}

}  // namespace

void add_generate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = add_verb(app, "generate", "Text from a model, token by token, through the paged KV cache",
                            [=] { return run_verb(*options); });
  RunOptions& run = options->run;
  runtime::EngineOptions& engine = run.engine;
  constexpr int64_t kMost = int64_t{1} << 30;
  verb->add_option("prompt", options->prompts, "Texts to continue")->type_name("PROMPT...");
  verb->add_option("--batch", options->batch, "More of them, one a line; all run together")->type_name("FILE");
  verb->add_option("--model", run.model, "A Hugging Face folder; default: the model that comes with this program")
      ->type_name("FOLDER");
  add_value(*verb, "--max-tokens", run.max_tokens, "N", CLI::Range(int64_t{1}, kMost),
            "Most tokens a prompt; default: 64, or as many as the model has positions for");
  add_value(*verb, "--temperature", options->temperature, "T", CLI::Range(0.0, 1e6),
            "0: the most likely token; default: as generation_config.json says, else 0");
  add_value(*verb, "--top-k", options->top_k, "K", CLI::Range(int64_t{0}, kMost), "Only the K most likely; 0: all");
  add_value(*verb, "--top-p", options->top_p, "P", CLI::Range(0.0, 1.0),
            "Only the most likely that together reach P; 1: all");
  verb->add_option("--seed", run.sampling.seed, "Of the drawing")->type_name("N")->capture_default_str();
  verb->add_option("--stop", run.stops, "Ends an answer, and is no part of it")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  verb->add_flag("--ignore-end", options->ignore_end, "Go on after the model's end tokens");
  verb->add_flag("--no-cache", options->no_cache, "Keep no keys and values: every token computes all before it again");
  verb->add_flag("--no-prefix-cache", options->no_prefix_cache, "Share no pages between prompts that begin alike");
  add_value(*verb, "--page-size", engine.page_size, "N", CLI::Range(int64_t{1}, int64_t{1} << 20), "Tokens a page")
      ->capture_default_str();
  add_value(*verb, "--cache-tokens", engine.cache_tokens, "N", CLI::Range(int64_t{0}, kMost),
            "Size of the KV cache; 0: what these prompts need")
      ->capture_default_str();
  add_value(*verb, "--max-batch", engine.max_sequences, "N", CLI::Range(int64_t{1}, int64_t{4096}),
            "Most sequences that run together")
      ->capture_default_str();
  add_value(*verb, "--chunk", engine.chunk, "N", CLI::Range(int64_t{1}, int64_t{1} << 20),
            "Most tokens a step: longer prompts run in pieces")
      ->capture_default_str();
  add_value(*verb, "--prompt-attention", options->prompt_form, "FORM", CLI::IsMember({"auto", "absorbed", "expanded"}),
            "MLA over prompts: absorbed (over the latent), expanded (over every head's keys), auto: the cheaper")
      ->capture_default_str();
  add_value(*verb, "--precision", options->precision, "TYPE", CLI::IsMember({"auto", "float32", "bfloat16"}),
            "Of weights and cache; auto: bfloat16 if the weights are stored so, else float32")
      ->capture_default_str();
  add_backend_option(*verb, run.compute.backend);
  add_threads_option(*verb, run.compute.threads);
  verb->add_flag("--quiet", options->quiet, "Print the text only");
  verb->add_option("--plot", options->plot,
                   "Run the first prompt again without the cache (or with it), and draw the time a token both ways: a "
                   "file that ends in .svg or .png")
      ->type_name("FILE");
  verb->add_option("--explain", options->explain,
                   "Run it again so, and write what each step did and what it cost: an HTML file")
      ->type_name("FILE");
  add_json_option(*verb, options->json);
}

}  // namespace flash_mla::cli
