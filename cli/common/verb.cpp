#include "common/verb.h"

#include <fmt/format.h>

#include <cstdio>

namespace flash_mla::cli {

CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& description, std::function<int()> run) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->final_callback([run = std::move(run)] {
    if (int code = run(); code != kExitOk) throw CLI::RuntimeError(code);
  });
  return verb;
}

void add_json_option(CLI::App& verb, std::string& path) {
  verb.add_option("--json", path, "Also write the results to this file, as JSON")->type_name("FILE");
}

void add_backend_option(CLI::App& verb, std::string& name) {
  verb.add_option("--backend", name, "Backend to run (see `flash_mla info`); default: $FLASH_MLA_BACKEND, or the best")
      ->type_name("NAME");
}

Result<BackendInfo> find_processor_backend(std::string_view name) {
  Result<BackendInfo> found = find_backend(name);
  if (!found.ok() || !found.value().on_cuda) return found;
  return Status(StatusCode::unsupported,
                fmt::format("backend = {}: only `check` runs it; expected one of the processor", found.value().name));
}

void add_threads_option(CLI::App& verb, int& threads) {
  verb.add_option("--threads", threads, "Threads; 0: as many as this process may use")
      ->type_name("N")
      ->check(CLI::Range(0, 1024).description(""))
      ->capture_default_str();
}

int fail(std::string_view message) {
  std::fflush(stdout);
  fmt::print(stderr, "flash_mla: error: {}\n", message);
  return kExitUsage;
}

int fail(const Status& status) {
  return fail(status.message());
}

void warn(std::string_view message) {
  std::fflush(stdout);
  fmt::print(stderr, "flash_mla: warning: {}\n", message);
}

}  // namespace flash_mla::cli
