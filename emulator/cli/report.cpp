// `flash_mla_emulator report`: what the launches of a program did.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cli/launch_table.h"
#include "cli/run_program.h"

namespace emulator::cli {
namespace {

struct Options {
  std::string file, json, kernel;
  std::vector<std::string> command;
};

/// A file that is gone when the command ends.
class TemporaryFile {
 public:
  TemporaryFile() : path_((std::filesystem::temp_directory_path() / "flash_mla_counters_XXXXXX").string()) {
    const int file = mkstemp(path_.data());
    if (file < 0) throw std::runtime_error(fmt::format("{}: {}", path_, std::strerror(errno)));
    close(file);
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void write_json(const std::vector<LoggedKernel>& kernels, const std::string& path) {
  nlohmann::json all = nlohmann::json::array();
  for (const LoggedKernel& kernel : kernels) all.push_back(json_of(kernel));
  errno = 0;
  std::ofstream file(path);
  file << all.dump(1) << "\n" << std::flush;
  if (!file) throw std::runtime_error(fmt::format("--json {}: {}", path, std::strerror(errno)));
}

void print_report(const Options& options, const std::string& log) {
  std::vector<LoggedKernel> kernels = read_launch_log(log);
  std::erase_if(kernels, [&](const LoggedKernel& each) { return each.name.find(options.kernel) == std::string::npos; });
  if (kernels.empty())
    throw std::runtime_error(fmt::format("--kernel {}: no kernel with this in its name ran", options.kernel));
  bool first = true;
  for (const LoggedKernel& kernel : kernels) {
    if (!first) fmt::print("\n");
    first = false;
    fmt::print("{}", table_of(kernel));
  }
  if (!options.json.empty()) write_json(kernels, options.json);
}

int run(const Options& options) {
  if (options.file.empty() == options.command.empty()) {
    throw std::runtime_error("report: either FILE or -- PROGRAM is needed (see `flash_mla_emulator report --help`)");
  }
  if (!options.file.empty()) {
    print_report(options, options.file);
    return 0;
  }
  const TemporaryFile log;
  const int code = run_program(options.command, log.path());
  std::fflush(stdout);
  if (code != 0) fmt::print(stderr, "flash_mla_emulator: warning: {} ended with {}\n", options.command[0], code);
  if (std::filesystem::file_size(log.path()) == 0) {
    throw std::runtime_error(fmt::format("{}: launched no kernel through libcuda.so.1", options.command[0]));
  }
  print_report(options, log.path());
  return code == 0 ? 0 : 1;
}

}  // namespace

void add_report(CLI::App& app, const std::vector<std::string>& program) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(
      "report", "What kernels did: traffic, bank conflicts, products, instructions, waits, lines that did not run");
  verb->add_option("file", options->file, "What a program recorded with FLASH_MLA_EMULATOR_COUNTERS=FILE")
      ->type_name("FILE");
  verb->add_option("--kernel", options->kernel, "Only kernels with this in their name")->type_name("TEXT");
  verb->add_option("--json", options->json, "Also write the figures to this file, as JSON")->type_name("FILE");
  verb->footer(
      "flash_mla_emulator report [OPTIONS] -- PROGRAM [ARGUMENT...] runs a program that uses the CUDA driver on the\n"
      "emulator, and reports what it launched. Exit code: 0; 1 if the program failed; 2 for wrong usage or input.");
  verb->final_callback([options, program] {
    options->command = program;
    if (const int code = run(*options); code != 0) throw CLI::RuntimeError(code);
  });
}

}  // namespace emulator::cli
