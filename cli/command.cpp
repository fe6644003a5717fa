#include "command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <string>

#include "common/verb.h"
#include "flash_mla/version.h"

namespace flash_mla::cli {

void add_info(CLI::App& app);
void add_check(CLI::App& app);
void add_bench(CLI::App& app);
void add_replay(CLI::App& app);
void add_kv_cost(CLI::App& app);
#ifdef FLASH_MLA_HAS_RUNTIME
void add_generate(CLI::App& app);
#endif

int run(int argc, const char* const* argv) {
  CLI::App app("Multi-head latent attention (MLA) decoding over a paged KV cache.", "flash_mla");
  app.set_version_flag("--version", fmt::format("flash_mla {}", version()));
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("flash_mla: error: {} (see `flash_mla --help`)\n", error.what());
  });
  add_info(app);
  add_check(app);
  add_bench(app);
  add_replay(app);
  add_kv_cost(app);
#ifdef FLASH_MLA_HAS_RUNTIME
  add_generate(app);
#endif

  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& verb_failed) {
    return verb_failed.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  } catch (const std::exception& error) {
    return fail(error.what());
  }
  return kExitOk;
}

}  // namespace flash_mla::cli
