// `flash_mla bench`: how fast is decode, and how fast could it be?
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "bench/bench_report.h"
#include "bench/kv_figures.h"
#include "bench/kv_suite.h"
#include "bench/measure.h"
#include "common/interrupt.h"
#include "common/machine.h"
#include "common/plot.h"
#include "common/progress.h"
#include "common/verb.h"

namespace flash_mla::cli {
namespace {

struct Options {
  std::string suite = "decode";
  std::string backend;
  int threads = 0;
  bool full = false;
  BenchGrid grid;
  Timing timing;
  uint64_t seed = 1;
  KvFiguresOptions kv_figures;
  std::string json;
  std::string plot;
};

const std::map<std::string, DType> kDtypes = {
    {"bfloat16", DType::bfloat16}, {"float16", DType::float16}, {"float32", DType::float32}};

/// `--full` widens what was not given.
void widen(const CLI::App& verb, BenchGrid& grid) {
  const auto given = [&](const char* option) { return verb.count(option) > 0; };
  if (!given("--batch")) grid.batch = {1, 16, 128};
  if (!given("--s-k")) grid.s_k = {512, 4096, 32768};
  if (!given("--h-q")) grid.h_q = {1, 8, 16, 32, 64, 128};
  if (!given("--cache")) grid.cache = {"cold", "warm"};
}

Status check_memory(const BenchCase& one) {
  const int64_t available = this_machine().memory_available_bytes;
  const int64_t needed = Workload::pool_bytes(one);
  if (available == 0 || needed < available / 10 * 9) return {};
  return {StatusCode::invalid_argument, fmt::format("b = {}, s_k = {} needs {:.1f} GiB of KV cache; this machine has "
                                                    "{:.1f} GiB free: choose smaller --batch or --s-k",
                                                    one.shape.batch, one.s_k, static_cast<double>(needed) * 0x1p-30,
                                                    static_cast<double>(available) * 0x1p-30)};
}

/// Refuses what cannot run before anything is timed.
Status check_cases(const std::vector<BenchCase>& cases, const Options& options) {
  for (const BenchCase& one : cases) {
    if (Status status = check_memory(one); !status.ok()) return status;
    PlanSpec spec;
    spec.shape = one.shape;
    spec.seqlens = one.seqlens.data();
    spec.mask = one.mask;
    spec.num_workers = options.threads;
    spec.backend = options.backend;
    if (const Result<Plan> plan = Plan::make(spec); !plan.ok()) return plan.status();
  }
  return {};
}

Result<std::vector<BenchRow>> run(const std::vector<BenchCase>& cases, Bencher& bencher, uint64_t seed) {
  Progress progress("bench", static_cast<int64_t>(cases.size()));
  std::vector<BenchRow> rows;
  Workload workload;
  for (const BenchCase& one : cases) {
    if (interrupted()) break;
    progress.update(static_cast<int64_t>(rows.size()),
                    fmt::format("b={} s_k={} h_q={} s_q={}", one.shape.batch, one.s_k, one.shape.h_q, one.shape.s_q));
    workload.build(one, seed);
    Result<BenchRow> row = bencher.measure(one, workload);
    if (!row.ok()) return row.status();
    rows.push_back(std::move(row).value());
  }
  return rows;
}

int report(const Options& options, const std::vector<BenchRow>& rows, const Roofline& roofline, size_t planned) {
  print_rows(rows);
  fmt::print(
      "Share: of the peak (compute) or of the read bandwidth (memory), measured beside each of n repetitions; medians. "
      "Cold: copies of the KV cache take turns, so that it comes from memory.\n");
  if (rows.size() < planned) fmt::print("Interrupted after {} of {} cases.\n", rows.size(), planned);
  if (!options.json.empty()) {
    Json json = report_head("bench");
    json["roofline"] = to_json(roofline);
    json["complete"] = rows.size() == planned;
    json["rows"] = rows_to_json(rows, roofline);
    if (const Status status = write_json(options.json, json); !status.ok()) return fail(status);
  }
  if (!options.plot.empty()) {
    const bool any_share =
        std::any_of(rows.begin(), rows.end(), [](const BenchRow& row) { return row.share.has_value(); });
    if (!any_share) {
      warn("no case has a share, so no plot is drawn");
      return kExitOk;
    }
    if (const Status status = plot_rows(options.plot, rows, roofline); !status.ok()) return fail(status);
  }
  return kExitOk;
}

int bench(const CLI::App& verb, Options& options) {
  if (!options.json.empty()) {
    if (const Status status = check_writable(options.json); !status.ok()) return fail(status);
  }
  if (!options.plot.empty()) {
    if (const Status status = check_plot(options.plot); !status.ok()) return fail(status);
  }
  if (options.suite == "kv-figures") {
    options.kv_figures.json = options.json;
    options.kv_figures.plot = options.plot;
    return run_kv_figures(options.kv_figures);
  }
  if (options.suite == "kv-cache") return run_kv_suite({options.json, options.plot, options.full, options.seed});
  if (options.full) widen(verb, options.grid);
  const std::vector<BenchCase> cases = make_cases(options.grid, options.seed);
  if (const Status status = check_cases(cases, options); !status.ok()) return fail(status);
  const Result<Roofline> roofline = measure_roofline(options.backend, options.grid.dtype, options.threads);
  if (!roofline.ok()) return fail(roofline.status());
  print_roofline(roofline.value());
  if (!roofline.value().credible()) {
    warn(
        "the peak measured is not what clock and threads promise (something else is running, or threads share a core): "
        "no "
        "share is given where that lasts");
  }
  catch_interrupts();
  Result<Bencher> bencher = Bencher::make(roofline.value(), options.timing);
  if (!bencher.ok()) return fail(bencher.status());
  const Result<std::vector<BenchRow>> rows = run(cases, bencher.value(), options.seed);
  if (!rows.ok()) return fail(rows.status());
  return report(options, rows.value(), roofline.value(), cases.size());
}

void add_list(CLI::App& verb, const char* name, std::vector<int64_t>& list, int64_t most, const char* description) {
  verb.add_option(name, list, description)
      ->delimiter(',')
      ->type_name("N,...")
      ->check(CLI::Range(int64_t{1}, most))
      ->capture_default_str();
}

void add_names(CLI::App& verb, const char* name, std::vector<std::string>& list,
               const std::vector<std::string>& allowed, const char* description) {
  verb.add_option(name, list, description)->delimiter(',')->check(CLI::IsMember(allowed))->capture_default_str();
}

void add_number(CLI::App& verb, const char* name, int64_t& value, int64_t least, int64_t most,
                const char* description) {
  verb.add_option(name, value, description)->type_name("N")->check(CLI::Range(least, most))->capture_default_str();
}

}  // namespace

void add_bench(CLI::App& app) {
  auto options = std::make_shared<Options>();
  // The verb is known only after add_verb() returns, and the callback needs it to tell given options from defaults.
  auto verb_of = std::make_shared<CLI::App*>(nullptr);
  CLI::App* verb = add_verb(app, "bench", "How fast is decode, and which part is that of what this machine could do?",
                            [options, verb_of] { return bench(**verb_of, *options); });
  *verb_of = verb;
  constexpr int64_t kMany = 1 << 20;
  constexpr int64_t kWidest = 1024;
  verb->add_option(
          "--suite", options->suite,
          "decode: the kernels; kv-cache: time an operation of the page manager, which takes only --full, --seed, "
          "--json and --plot; kv-figures: prefix hits, waste and batch of KV caches on request traces")
      ->check(CLI::IsMember({"decode", "kv-cache", "kv-figures"}))
      ->capture_default_str();
  KvFiguresOptions& figures = options->kv_figures;
  verb->add_option("--trace", figures.traces,
                   "kv-figures: request traces (Azure CSV, Mooncake JSON lines); default: the sample")
      ->type_name("FILE...");
  verb->add_option("--kv-tokens", figures.kv_tokens,
                   "kv-figures: tokens that the cache holds; 0: 524288, or 16 of the longest request")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  verb->add_option("--requests", figures.requests, "kv-figures: of the trace, after a shuffle, that queue; 0: all")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  BenchGrid& grid = options->grid;
  add_backend_option(*verb, options->backend);
  add_threads_option(*verb, options->threads);
  verb->add_flag("--full", options->full, "A larger grid, half an hour or more; lists that are given stay as they are");
  add_list(*verb, "--batch", grid.batch, kMany, "Sequences");
  add_list(*verb, "--s-k", grid.s_k, kMany, "Cached tokens of a sequence");
  add_list(*verb, "--h-q", grid.h_q, kMany, "Query heads");
  add_list(*verb, "--s-q", grid.s_q, kMany, "Query tokens of a sequence");
  add_names(*verb, "--lengths", grid.lengths, {"uniform", "ragged"}, "All lengths s_k, or drawn from N(s_k, s_k / 2)");
  add_names(*verb, "--cache", grid.cache, {"cold", "warm"}, "KV from memory, or from the caches as far as it fits");
  add_number(*verb, "--h-kv", grid.h_kv, 1, kMany, "KV heads");
  add_number(*verb, "--d", grid.d, 1, kWidest, "Width of a key");
  add_number(*verb, "--d-v", grid.d_v, 1, kWidest, "Width of a value");
  verb->add_flag("--separate-v", grid.separate_v,
                 "V has a cache of its own (MHA, MQA, GQA) instead of being part of K");
  add_number(*verb, "--page", grid.page, 1, kMany, "Tokens of a page");
  verb->add_flag("--ordered-pages", grid.ordered_pages, "Pages in the order of their tokens instead of shuffled");
  verb->add_flag("--causal", grid.mask.causal, "Query tokens see no later keys");
  add_number(*verb, "--window", grid.mask.window, 0, kMany, "Sliding window; 0: none");
  add_number(*verb, "--sinks", grid.mask.sinks, 0, kMany, "First tokens that a window always shows");
  verb->add_option("--dtype", grid.dtype, "bfloat16, float16 or float32")
      ->transform(CLI::CheckedTransformer(kDtypes))
      ->type_name("NAME")
      ->default_str("bfloat16");
  verb->add_option("--repetitions", options->timing.repetitions, "Of a case, each with the ceiling measured beside it")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--seconds", options->timing.seconds, "A case ends after this long, though not before 5 repetitions")
      ->type_name("S")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--seed", options->seed, "Draws other lengths and page orders")
      ->type_name("N")
      ->capture_default_str();
  add_json_option(*verb, options->json);
  verb->add_option("--plot", options->plot, "Also draw the shares to this file (.svg or .png)")->type_name("FILE");
}

}  // namespace flash_mla::cli
