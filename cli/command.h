// The command flash_mla: parses a command line and hands over to a verb.
#pragma once

namespace flash_mla::cli {

/// What main() does. Returns the exit code.
int run(int argc, const char* const* argv);

}  // namespace flash_mla::cli
