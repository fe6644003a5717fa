#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace emulator::cli {
void add_report(CLI::App& app, const std::vector<std::string>& program);
}

int main(int argc, char** argv) {
  constexpr int kExitUsage = 2;
  CLI::App app("An emulator of a Hopper GPU, for programs that use the CUDA driver.", "flash_mla_emulator");
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("flash_mla_emulator: error: {} (see `flash_mla_emulator --help`)\n", error.what());
  });
  // What follows "--" is a program with its own arguments.
  int own = 1;
  while (own < argc && std::string_view(argv[own]) != "--") ++own;
  const std::vector<std::string> program(argv + std::min(own + 1, argc), argv + argc);
  emulator::cli::add_report(app, program);
  try {
    app.parse(own, argv);
  } catch (const CLI::RuntimeError& verb_failed) {
    return verb_failed.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  } catch (const std::exception& error) {
    std::fflush(stdout);
    fmt::print(stderr, "flash_mla_emulator: error: {}\n", error.what());
    return kExitUsage;
  }
  return 0;
}
