// How a verb of the command joins it: `flash_mla <verb> [options]`.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "flash_mla/backend.h"
#include "flash_mla/status.h"

namespace flash_mla::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitCheckFailed = 1;  ///< a result was wrong
inline constexpr int kExitUsage = 2;        ///< wrong usage or input

/// Adds `name` to the command. `run` is called once the command line has been parsed, if this verb was named; what it
/// returns becomes the exit code. Options are added to the subcommand that is returned; they must outlive the parse, so
/// keep them in a shared_ptr that `run` holds too.
CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& description, std::function<int()> run);

/// `--json FILE`.
void add_json_option(CLI::App& verb, std::string& path);
/// As find_backend(), of those that take arrays in this process' memory. Errors: also unsupported (a backend of CUDA).
Result<BackendInfo> find_processor_backend(std::string_view name);

/// `--backend NAME`; empty takes $FLASH_MLA_BACKEND, or the best usable one.
void add_backend_option(CLI::App& verb, std::string& name);
/// `--threads N`; 0 means default_num_workers().
void add_threads_option(CLI::App& verb, int& threads);

/// Prints one line "flash_mla: error: ..." to stderr and returns kExitUsage.
int fail(std::string_view message);
int fail(const Status& status);
/// Prints one line "flash_mla: warning: ..." to stderr.
void warn(std::string_view message);

}  // namespace flash_mla::cli
