// The command as such: usage errors, help, version.
#include <gtest/gtest.h>

#include "command.h"
#include "flash_mla/version.h"

namespace flash_mla {
namespace {

TEST(Command, PrintsItsVersion) {
  CommandResult result = run_command("--version");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, std::string("flash_mla ") + version() + "\n");
  EXPECT_EQ(result.err, "");
}

TEST(Command, HelpNamesTheVerbs) {
  CommandResult result = run_command("--help");
  EXPECT_EQ(result.exit_code, 0);
  for (const char* verb : {"info", "check", "bench", "replay"}) {
    EXPECT_NE(result.out.find(std::string("\n  ") + verb + " "), std::string::npos) << verb;
  }
}

TEST(Command, WrongUsageIsOneLineAndExitCode2) {
  for (const char* arguments : {"", "fly", "--fly", "info --fly", "replay --layers many", "replay --layers -1",
                                "replay --format xml", "replay --max-batch 0", "replay --time-limit -1", "replay extra",
                                "replay --requests -1", "replay --verify 1.5"}) {
    CommandResult result = run_command(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments;
    EXPECT_EQ(result.out, "") << arguments;
    EXPECT_EQ(result.err.rfind("flash_mla: error: ", 0), 0u) << arguments << ": " << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << arguments << ": " << result.err;
  }
}

}  // namespace
}  // namespace flash_mla
