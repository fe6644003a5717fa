// A wrong kernel must cost the replay its exit code.
#include <gtest/gtest.h>

#include "command.h"

namespace flash_mla {
namespace {

TEST(ReplayPlanted, AWrongKernelFailsTheRun) {
  const TemporaryFolder folder;
  const std::string trace = folder.file("trace.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\nt,100,20\n");
  const std::string arguments =
      "replay --layers 1 --no-roofline --verify 10 --trace " + trace + " --json " + folder.path("replay.json");
  EXPECT_EQ(run_command(arguments).exit_code, 0);
  const CommandResult planted = run_command(arguments, "LD_PRELOAD=" FLASH_MLA_PLANTED_DECODE);
  EXPECT_EQ(planted.exit_code, 1) << planted.err;
  EXPECT_NE(planted.out.find("FAILED"), std::string::npos) << planted.out;
  const nlohmann::json json = read_json(folder.path("replay.json"));
  EXPECT_GT(json["verified"]["samples"].get<int>(), 0);
  EXPECT_EQ(json["verified"]["failed"], json["verified"]["samples"]);
}

}  // namespace
}  // namespace flash_mla
