// `flash_mla replay`: a trace of requests through the paged KV cache and decode.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "bench/roofline.h"
#include "common/interrupt.h"
#include "common/plot.h"
#include "common/progress.h"
#include "common/verb.h"
#include "flash_mla/backend.h"
#include "flash_mla/executor.h"
#include "replay/budget.h"
#include "replay/output.h"

namespace flash_mla::cli {
namespace {

constexpr double kSampleTimeLimit = 45;  // seconds
constexpr double kLongRun = 10;          // seconds: short against it is a second try to measure a disturbed roofline

struct Options {
  std::string trace;
  TraceFormat format = TraceFormat::automatic;
  int64_t requests = 0;
  std::string model = "deepseek-v2-lite";
  int64_t layers = 2;
  int64_t page_size = 64;
  std::string kv_budget;
  int64_t max_batch = 128;
  std::optional<double> time_limit;
  uint64_t seed = 1;
  int64_t verify = 24;
  bool no_prefix_cache = false;
  int64_t window = 0;
  int64_t sinks = 0;
  std::string backend;
  int threads = 0;
  bool no_roofline = false;
  std::string plot;
  std::string json;
};

void add_options(CLI::App& verb, Options& options) {
  const std::map<std::string, TraceFormat> formats = {
      {"auto", TraceFormat::automatic}, {"azure", TraceFormat::azure}, {"mooncake", TraceFormat::mooncake}};
  std::string names;
  for (const ModelGeometry& model : models()) names += fmt::format("{}{}", names.empty() ? "" : ", ", model.name);

  verb.add_option("--trace", options.trace, "Requests to replay; default: a sample that comes with this program")
      ->type_name("FILE");
  verb.add_option("--format", options.format,
                  "auto, azure (CSV: TIMESTAMP,ContextTokens,GeneratedTokens) or mooncake (JSON lines: input_length, "
                  "output_length, hash_ids)")
      ->type_name("NAME")
      ->transform(CLI::CheckedTransformer(formats).description(""));
  verb.add_option("--requests", options.requests, "Replay the first N requests only; 0: all")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber.description(""));
  verb.add_option("--model", options.model, "Attention geometry: " + names)->type_name("NAME")->capture_default_str();
  verb.add_option("--layers", options.layers, "Attention layers to run; 0: as many as the model has")
      ->type_name("N")
      ->check(CLI::Range(0, 1000).description(""))
      ->capture_default_str();
  verb.add_option("--page-size", options.page_size, "Tokens a page")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20).description(""))
      ->capture_default_str();
  verb.add_option(
          "--kv-budget", options.kv_budget,
          "Size of the KV cache: bytes over all layers (2G, 512M) or tokens (131072tokens); default: 131072tokens, "
          "or what the longest request needs")
      ->type_name("SIZE");
  verb.add_option("--max-batch", options.max_batch, "Most sequences decoded together")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 16).description(""))
      ->capture_default_str();
  verb.add_option("--time-limit", options.time_limit,
                  fmt::format("Stop after this many seconds, with the report so far; 0: never; default: {:.0f} for the "
                              "sample, else 0",
                              kSampleTimeLimit))
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber.description(""));
  verb.add_option("--seed", options.seed, "Of the random latents and queries, and of the choice of samples")
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--verify", options.verify, "Generated tokens to recompute in float64 and compare")
      ->type_name("N")
      ->check(CLI::Range(0, 1000000).description(""))
      ->capture_default_str();
  verb.add_flag(
      "--no-prefix-cache", options.no_prefix_cache,
      "Compute every prompt as a whole, even where the trace's hash ids say that its beginning is in the cache");
  verb.add_option("--window", options.window, "A query sees only this many tokens, and older pages are freed; 0: all")
      ->type_name("N")
      ->check(CLI::Range(0, 1 << 30).description(""))
      ->capture_default_str();
  verb.add_option("--sinks", options.sinks, "First tokens that a window always shows")
      ->type_name("N")
      ->check(CLI::Range(0, 1 << 30).description(""))
      ->capture_default_str();
  add_backend_option(verb, options.backend);
  add_threads_option(verb, options.threads);
  verb.add_flag("--no-roofline", options.no_roofline,
                "Do not measure what this machine could do at best: saves seconds, and the share of it is unknown");
  verb.add_option("--plot", options.plot,
                  "Draw batch, page use and step time over the run: a file that ends in .svg or .png")
      ->type_name("FILE");
  add_json_option(verb, options.json);
}

Result<Trace> load_trace(const Options& options) {
  if (!options.trace.empty()) return read_trace_file(options.trace, options.format, options.requests);
  std::istringstream sample{std::string(sample_trace_text())};
  return read_trace(sample, kSampleTraceName, TraceFormat::azure, options.requests);
}

Result<RunConfig> configure(const Options& options, const Trace& trace) {
  Result<ModelGeometry> model = find_model(options.model);
  if (!model.ok()) return model.status();
  Result<BackendInfo> backend = find_processor_backend(options.backend);
  if (!backend.ok()) return backend.status();

  RunConfig config;
  config.model = model.value();
  config.layers = options.layers > 0 ? options.layers : config.model.layers;
  config.page_size = options.page_size;
  config.max_batch = options.max_batch;
  config.threads = options.threads > 0 ? options.threads : default_num_workers();
  config.backend = backend.value().name;
  config.seed = options.seed;
  config.samples = options.verify;
  config.prefix_caching = !options.no_prefix_cache;
  config.window = options.window;
  config.sinks = options.sinks;
  if (options.sinks > 0 && options.window == 0) {
    return Status{StatusCode::invalid_argument, "--sinks goes with --window: without a window every token is seen"};
  }
  config.time_limit = options.time_limit.value_or(options.trace.empty() ? kSampleTimeLimit : 0);

  const PageCost cost{config.page_size, config.model.kv_bytes() * config.layers};
  Budget budget = default_budget(cost, trace.requests);
  if (!options.kv_budget.empty()) {
    Result<Budget> parsed = parse_budget(options.kv_budget);
    if (!parsed.ok()) return parsed.status();
    budget = parsed.value();
  }
  Result<int64_t> pages = pages_of(budget, options.kv_budget, cost, trace);
  if (!pages.ok()) return pages.status();
  config.num_pages = pages.value();
  if (Status fits = check_memory(config.cache_shape()); !fits.ok()) return fits;
  return config;
}

/// What would spoil the end of a long run is found before it starts. A missing gnuplot costs the picture only.
Status check_outputs(Options& options) {
  if (!options.json.empty()) {
    if (Status status = check_writable(options.json); !status.ok()) return status;
  }
  if (options.plot.empty()) return {};
  Status status = check_plot(options.plot);
  if (status.code() != StatusCode::unsupported) return status;
  warn(status.message());
  options.plot.clear();
  return {};
}

/// A disturbed peak gets a second chance once the run is over.
void retry_if_disturbed(std::optional<Roofline>& roofline) {
  if (!roofline || roofline->credible() || interrupted()) return;
  Result<Roofline> again = measure_roofline(roofline->backend, roofline->dtype, roofline->threads);
  if (again.ok() && again.value().peak_flops > roofline->peak_flops) roofline = again.value();
}

int run_verb(Options options) {
  if (Status status = check_outputs(options); !status.ok()) return fail(status);
  const Result<Trace> trace = load_trace(options);
  if (!trace.ok()) return fail(trace.status());
  const Result<RunConfig> config = configure(options, trace.value());
  if (!config.ok()) return fail(config.status());

  catch_interrupts();
  std::optional<Roofline> roofline;
  if (!options.no_roofline) {
    Result<Roofline> measured = measure_roofline(config.value().backend, DType::bfloat16, config.value().threads);
    if (!measured.ok()) return fail(measured.status());
    roofline = measured.value();
  }
  const Result<RunResult> run = [&] {
    Progress progress("replay", answer_tokens(trace.value()));
    return run_replay(config.value(), trace.value(), progress);
  }();
  if (!run.ok()) return fail(run.status());
  if (run.value().times.total > kLongRun) retry_if_disturbed(roofline);

  const Summary summary = summarise(config.value(), trace.value(), run.value(), roofline);
  const Replay replay{config.value(), trace.value(), run.value(), summary, roofline};
  print_replay(replay);
  if (!options.json.empty()) {
    if (Status status = write_json(options.json, to_json(replay)); !status.ok()) return fail(status);
  }
  if (!options.plot.empty() && !run.value().steps.empty()) {
    if (Status status = plot_replay(replay, options.plot); !status.ok()) return fail(status);
    fmt::print("{:<10} {}\n", "plot", options.plot);
  }
  return run.value().samples_failed == 0 ? kExitOk : kExitCheckFailed;
}

}  // namespace

void add_replay(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = add_verb(app, "replay", "Replay a trace of requests through a paged KV cache",
                            [=] { return run_verb(*options); });
  verb->footer(
      "Continuous batching: requests are admitted in their order while pages are free, as fast as this machine "
      "decodes;\narrival times are not waited for. Ctrl-C ends the run with the report so far.");
  add_options(*verb, *options);
}

}  // namespace flash_mla::cli
