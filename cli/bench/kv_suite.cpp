#include "bench/kv_suite.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "common/interrupt.h"
#include "common/verb.h"

namespace flash_mla::cli {
namespace {

constexpr std::array kSections = {KvSection{"operations", measure_kv_operations}};

std::string plot_path(const std::string& path, const char* section) {
  const std::filesystem::path given(path);
  return (given.parent_path() / (given.stem().string() + "_" + section + given.extension().string())).string();
}

}  // namespace

std::span<const KvSection> kv_sections() {
  return kSections;
}

int run_kv_suite(const KvSuiteOptions& options) {
  catch_interrupts();
  Json json = report_head("bench");
  json["suite"] = "kv-cache";
  for (const KvSection& section : kv_sections()) {
    if (interrupted()) break;
    Result<KvFindings> found = section.run(options);
    if (!found.ok()) return fail(found.status());
    json[section.name] = std::move(found.value().json);
    if (options.plot.empty() || found.value().panels.empty()) continue;
    const std::string path = plot_path(options.plot, section.name);
    const Status drawn = write_plot(path, found.value().plot_title, found.value().panels);
    if (!drawn.ok()) return fail(drawn);
    fmt::print("plot: {}\n", path);
  }
  json["complete"] = !interrupted();
  if (options.json.empty()) return kExitOk;
  const Status saved = write_json(options.json, json);
  return saved.ok() ? kExitOk : fail(saved);
}

}  // namespace flash_mla::cli
