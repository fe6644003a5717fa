// `flash_mla info`: what a bug report needs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "common/machine.h"
#include "common/report.h"
#include "common/table.h"
#include "common/verb.h"
#include "flash_mla/backend.h"
#include "flash_mla/version.h"

namespace flash_mla::cli {
namespace {

std::string format_bytes(int64_t bytes) {
  constexpr int64_t kMiB = int64_t{1} << 20;
  if (bytes >= kMiB << 10)
    return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kMiB << 10));
  if (bytes >= kMiB) return fmt::format("{} MiB", bytes / kMiB);
  return fmt::format("{} KiB", bytes >> 10);
}

std::string describe_caches(const Machine& machine) {
  std::string text;
  for (const CacheLevel& cache : machine.caches) {
    if (!text.empty()) text += ", ";
    const char* suffix = cache.type == "data" ? "d" : cache.type == "instruction" ? "i" : "";
    text += fmt::format("L{}{} {}", cache.level, suffix, format_bytes(cache.bytes));
    if (cache.shared_by_cpus > 1) text += fmt::format(" (shared by {})", cache.shared_by_cpus);
  }
  return text.empty() ? "unknown" : text;
}

void print_machine(const Machine& machine) {
  auto line = [](const char* name, const std::string& value) {
    fmt::print("{:<11}{}\n", name, value.empty() ? "unknown" : value);
  };
  line("version", fmt::format("flash_mla {}", version()));
  line("compiler", machine.compiler);
  line("cpu", machine.cpu);
  std::string cores = machine.cores > 0 ? fmt::format(", {} cores", machine.cores) : std::string();
  line("cpus", fmt::format("{}{}, {} threads usable here", machine.cpus, cores, machine.usable_threads));
  line("isa", fmt::format("{}: {}", machine.architecture, fmt::join(machine.isa, " ")));
  line("caches", describe_caches(machine));
  line("memory", fmt::format("{} ({} available)", format_bytes(machine.memory_bytes),
                             format_bytes(machine.memory_available_bytes)));
  line("system", fmt::format("{}, {}", machine.os, machine.kernel));
}

Json backends_json() {
  Json rows = Json::array();
  for (const BackendInfo& backend : backends()) {
    rows.push_back({{"name", backend.name},
                    {"description", backend.description},
                    {"built", backend.built},
                    {"usable", backend.usable},
                    {"reason", backend.reason},
                    {"on_cuda", backend.on_cuda}});
  }
  return rows;
}

int run_info(const std::string& json_path) {
  print_machine(this_machine());
  Result<BackendInfo> chosen = find_backend("");
  fmt::print("\n");
  Table table({"<backend", "<built", "<usable", "<needs", "<note"});
  for (const BackendInfo& backend : backends()) {
    bool is_chosen = chosen.ok() && std::string_view(chosen.value().name) == backend.name;
    table.add_row({backend.name, backend.built ? "yes" : "no", backend.usable ? "yes" : "no", backend.description,
                   is_chosen ? "taken unless told otherwise" : backend.reason});
  }
  table.print();
  if (!chosen.ok()) warn(chosen.status().message());
  if (json_path.empty()) return kExitOk;

  Json report = report_head("info");
  report["backends"] = backends_json();
  report["default_backend"] = chosen.ok() ? Json(chosen.value().name) : Json(nullptr);
  Status written = write_json(json_path, report);
  return written.ok() ? kExitOk : fail(written);
}

}  // namespace

void add_info(CLI::App& app) {
  auto json_path = std::make_shared<std::string>();
  CLI::App* verb = add_verb(app, "info", "Describe this build and this machine", [=] { return run_info(*json_path); });
  add_json_option(*verb, *json_path);
}

}  // namespace flash_mla::cli
