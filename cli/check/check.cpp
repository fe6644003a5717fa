// `flash_mla check`: is what the backends compute right?
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "check/cuda_decoder.h"
#include "check/grid.h"
#include "check/runner.h"
#include "common/interrupt.h"
#include "common/progress.h"
#include "common/report.h"
#include "common/table.h"
#include "common/verb.h"
#include "flash_mla/backend.h"
#include "flash_mla/executor.h"

namespace flash_mla::cli {
namespace {

struct Options {
  std::string backend;
  std::string group;
  bool quick = false;
  int threads = 0;
  uint64_t seed = 1;
  std::string json;
};

Result<std::vector<std::string>> choose_backends(const Options& options) {
  if (!options.backend.empty()) {
    const Result<BackendInfo> info = find_backend(options.backend);
    if (!info.ok()) return info.status();
    return std::vector<std::string>{info.value().name};
  }
  std::vector<std::string> names;
  for (const BackendInfo& info : backends()) {
    if (info.usable && !info.on_cuda) names.emplace_back(info.name);
  }
  return names;
}

Result<std::vector<Family>> choose_families(const Options& options) {
  std::vector<Family> families = whole_grid(options.quick ? Extent::quick : Extent::full, options.seed);
  if (options.group.empty()) return families;
  std::vector<std::string> groups;
  for (const Family& family : families) {
    if (std::find(groups.begin(), groups.end(), family.data.group) == groups.end()) groups.push_back(family.data.group);
  }
  std::erase_if(families, [&](const Family& family) { return family.data.group != options.group; });
  if (!families.empty()) return families;
  return Status(StatusCode::not_found,
                fmt::format("--group: there is no group {}; groups are: {}", options.group, fmt::join(groups, ", ")));
}

CheckResults run(const Options& options, std::vector<Family> families, const std::vector<std::string>& backends) {
  CheckPlan plan;
  plan.families = std::move(families);
  plan.backends = backends;
  plan.threads = options.threads > 0 ? options.threads : default_num_workers();
  plan.selects = [](const std::string& backend, const DataSpec& data, const Case& one) {
    if (backend == "sm90") return is_for_sm90(data);
    return backend != "scalar" || is_for_slow_backends(data, one);
  };
  constexpr int64_t kSteps = 10000;
  Progress progress("check", kSteps);
  plan.keep_going = [&](double done) {
    progress.update(static_cast<int64_t>(done * static_cast<double>(kSteps)));
    return !interrupted();
  };
  return run_check(plan, is_on_cuda(backends.front()) ? cuda_decoder() : library_decoder());
}

std::vector<std::string> cells(const std::string& group, const std::string& backend, int64_t cases, int64_t failed,
                               const Errors& worst) {
  return {group,
          backend,
          fmt::format("{}", cases),
          fmt::format("{}", failed),
          fmt::format("{:.2e}", worst.out_abs),
          fmt::format("{:.2e}", worst.out_cos),
          fmt::format("{:.2e}", worst.lse_abs),
          fmt::format("{:.2f}", worst.ratio_to_bar)};
}

/// All groups of a backend together.
Tally sum_of(const CheckResults& results, const std::string& backend) {
  Tally sum;
  sum.backend = backend;
  for (const Tally& tally : results.tallies) {
    if (tally.backend != backend) continue;
    sum.cases += tally.cases;
    sum.failed += tally.failed;
    sum.worst.merge(tally.worst);
  }
  return sum;
}

void print(const CheckResults& results, const std::vector<std::string>& backends, double seconds) {
  Table table({"<group", "<backend", "cases", "failed", "out abs", "out cos", "lse abs", "of the bar"});
  for (const Tally& tally : results.tallies) {
    table.add_row(cells(tally.group, tally.backend, tally.cases, tally.failed, tally.worst));
  }
  for (const std::string& backend : backends) {
    const Tally sum = sum_of(results, backend);
    table.add_row(cells("all", backend, sum.cases, sum.failed, sum.worst));
  }
  table.print();
  fmt::print(
      "Worst errors against a float64 reference; the bar: out {:.0e} absolute or {:.2e} relative and cosine distance "
      "{:.0e} "
      "for each row, lse {:.0e} or {:.2e} and on the processor {:.0e}.\n",
      kOutAbsolute, kOutRelative, kOutCosine, kLseAbsolute, kLseRelative, kLseAbsoluteCpu);
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < std::min(kShown, results.failures.size()); ++i) {
    const Failure& failure = results.failures[i];
    fmt::print("FAILED {}: {}\n    {}\n", failure.backend, failure.what, failure.why);
  }
  if (results.failures.size() > kShown)
    fmt::print("... and {} more (--json has them all)\n", results.failures.size() - kShown);
  fmt::print("{} cases, {} failed, {:.1f} s{}\n", results.cases(), results.failed(), seconds,
             results.complete ? "" : "; interrupted before the end");
}

Json to_json(const Errors& worst) {
  return {{"out_abs", worst.out_abs},
          {"out_cos", worst.out_cos},
          {"lse_abs", worst.lse_abs},
          {"ratio_to_bar", worst.ratio_to_bar}};
}

Json to_json(const Tally& tally) {
  Json json;
  if (!tally.group.empty()) json["group"] = tally.group;
  json["backend"] = tally.backend;
  json["cases"] = tally.cases;
  json["failed"] = tally.failed;
  json["worst"] = to_json(tally.worst);
  return json;
}

Json make_report(const Options& options, const CheckResults& results, const std::vector<std::string>& backends,
                 double seconds) {
  Json json = report_head("check");
  json["quick"] = options.quick;
  json["seed"] = options.seed;
  json["complete"] = results.complete;
  json["seconds"] = seconds;
  json["cases"] = results.cases();
  json["failed"] = results.failed();
  json["worst"] = to_json(results.worst());
  json["backends"] = Json::array();
  for (const std::string& backend : backends) json["backends"].push_back(to_json(sum_of(results, backend)));
  json["groups"] = Json::array();
  for (const Tally& tally : results.tallies) json["groups"].push_back(to_json(tally));
  json["failures"] = Json::array();
  for (const Failure& failure : results.failures) {
    json["failures"].push_back({{"backend", failure.backend}, {"case", failure.what}, {"why", failure.why}});
  }
  return json;
}

int check(const Options& options) {
  const Result<std::vector<std::string>> backends = choose_backends(options);
  if (!backends.ok()) return fail(backends.status());
  Result<std::vector<Family>> families = choose_families(options);
  if (!families.ok()) return fail(families.status());
  if (!options.json.empty()) {
    if (const Status status = check_writable(options.json); !status.ok()) return fail(status);
  }
  catch_interrupts();
  const auto start = std::chrono::steady_clock::now();
  const CheckResults results = run(options, std::move(families).value(), backends.value());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print(results, backends.value(), seconds);
  if (!options.json.empty()) {
    const Status status = write_json(options.json, make_report(options, results, backends.value(), seconds));
    if (!status.ok()) return fail(status);
  }
  return results.failed() > 0 ? kExitCheckFailed : kExitOk;
}

}  // namespace

void add_check(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      add_verb(app, "check", "Is what the backends compute right? Against a float64 reference, over a grid.",
               [options] { return check(*options); });
  verb->add_option("--backend", options->backend, "Check this one; default: every backend that this machine can run")
      ->type_name("NAME");
  verb->add_option("--group", options->group, "Check only this group of cases (the first column of the table)")
      ->type_name("NAME");
  verb->add_flag("--quick", options->quick, "A few small cases of every group: seconds instead of minutes");
  add_threads_option(*verb, options->threads);
  verb->add_option("--seed", options->seed, "Draws other data and lengths")->type_name("N")->capture_default_str();
  add_json_option(*verb, options->json);
}

}  // namespace flash_mla::cli
