// `flash_mla kv-cost`: what a KV cache costs, and what a budget pays for.
#include <fmt/format.h>

#include <memory>

#include "common/plot.h"
#include "common/verb.h"
#include "kv_cost/config.h"
#include "kv_cost/report.h"
#include "replay/budget.h"

namespace flash_mla::cli {
namespace {

constexpr size_t kMostPanels = 8;

struct Options {
  std::vector<std::string> models;
  std::vector<std::string> configs;
  Question question;
  std::string budget;
  std::string json;
  std::string plot;
};

Result<std::vector<ModelCache>> chosen_models(const Options& options) {
  std::vector<ModelCache> models;
  std::vector<std::string> names = options.models;
  if (names.empty() && options.configs.empty()) {
    for (const KnownModel& model : known_models()) names.emplace_back(model.name);
  }
  for (const std::string& path : options.configs) {
    Result<ModelCache> model = read_config(path);
    if (!model.ok()) return model.status();
    models.push_back(std::move(model).value());
  }
  for (const std::string& name : names) {
    Result<ModelCache> model = find_known_model(name);
    if (!model.ok()) return model.status();
    models.push_back(std::move(model).value());
  }
  return models;
}

Status check_outputs(const Options& options, size_t models) {
  if (!options.json.empty()) {
    if (Status status = check_writable(options.json); !status.ok()) return status;
  }
  if (options.plot.empty()) return {};
  if (models > kMostPanels) {
    return {StatusCode::invalid_argument,
            fmt::format("--plot draws a panel a model, {} at most; {} are chosen: name fewer with --model or --config",
                        kMostPanels, models)};
  }
  return check_plot(options.plot);
}

int run_verb(Options options) {
  const Result<std::vector<ModelCache>> models = chosen_models(options);
  if (!models.ok()) return fail(models.status());
  if (Status status = check_outputs(options, models.value().size()); !status.ok()) return fail(status);
  if (!options.budget.empty()) {
    const Result<Budget> budget = parse_budget(options.budget);
    if (!budget.ok() || budget.value().in_tokens) {
      return fail(fmt::format("--budget is '{}': must be bytes, such as 80G or 512M", options.budget));
    }
    options.question.budget = budget.value().amount;
  }
  std::vector<Answer> answers;
  for (const ModelCache& model : models.value()) {
    Result<Answer> one = answer(model, options.question);
    if (!one.ok()) return fail(fmt::format("{}: {}", model.name, one.status().message()));
    answers.push_back(std::move(one).value());
  }
  print_answers(answers, options.question);
  if (!options.json.empty()) {
    if (Status status = write_json(options.json, answers_to_json(answers, options.question)); !status.ok()) {
      return fail(status);
    }
  }
  if (!options.plot.empty()) {
    if (Status status = plot_answers(options.plot, answers, options.question); !status.ok()) return fail(status);
    fmt::print("\nplot       {}\n", options.plot);
  }
  return kExitOk;
}

template <class Check>
void add_number(CLI::App& verb, const char* name, int64_t& value, Check check, const char* description) {
  verb.add_option(name, value, description)->type_name("N")->check(check)->capture_default_str();
}

}  // namespace

void add_kv_cost(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      add_verb(app, "kv-cost", "What a KV cache costs, and what a budget pays for", [=] { return run_verb(*options); });
  std::string names;
  for (const KnownModel& model : known_models()) names += fmt::format("{}{}", names.empty() ? "" : ", ", model.name);
  verb->add_option("--model", options->models, "Known models (default: all): " + names)
      ->delimiter(',')
      ->type_name("NAME,...");
  verb->add_option("--config", options->configs, "Hugging Face config.json files of other models")
      ->type_name("FILE...");
  Question& question = options->question;
  question.load.length = 4096;
  add_number(*verb, "--batch", question.load.batch, CLI::Range(int64_t{1}, kLargestBatch), "Sequences");
  add_number(*verb, "--length", question.load.length, CLI::Range(int64_t{1}, kLongestLength),
             "Tokens of each sequence");
  add_number(*verb, "--page-size", question.load.page_size, CLI::Range(int64_t{1}, kLargestPage),
             "Tokens a page; 1: no rounding");
  add_number(*verb, "--bits", question.precision.bits, CLI::IsMember({4, 8, 16}), "Of a cached element: 16, 8 or 4");
  add_number(*verb, "--scale-group", question.precision.scale_group, CLI::Range(int64_t{0}, kLargestScaleGroup),
             "With 8 or 4 bits: elements that share a scale; 0: no scales in the cache");
  add_number(*verb, "--scale-bytes", question.precision.scale_bytes, CLI::Range(int64_t{1}, kLargestScale),
             "Bytes of a scale");
  verb->add_flag("--quantise-rope", question.precision.quantise_rope,
                 "With 8 or 4 bits: MLA's rope columns too, which stay at 16 bits otherwise");
  verb->add_option("--budget", options->budget,
                   "Bytes, such as 80G: also say how long --batch sequences can be, and how many of --length fit")
      ->type_name("SIZE");
  add_json_option(*verb, options->json);
  verb->add_option("--plot", options->plot,
                   "Draw bytes against length, as MHA, GQA and MQA too: a file that ends in .svg or .png")
      ->type_name("FILE");
}

}  // namespace flash_mla::cli
