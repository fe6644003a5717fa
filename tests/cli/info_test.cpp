#include <gtest/gtest.h>

#include "command.h"
#include "flash_mla/backend.h"
#include "flash_mla/version.h"

namespace flash_mla {
namespace {

TEST(Info, TextNamesTheVersionAndEveryBackend) {
  CommandResult result = run_command("info");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find(version()), std::string::npos);
  for (const BackendInfo& backend : backends()) {
    EXPECT_NE(result.out.find(std::string("\n") + backend.name), std::string::npos) << backend.name;
    EXPECT_NE(result.out.find(backend.reason), std::string::npos) << backend.reason;
  }
}

TEST(Info, JsonKeepsItsKeys) {
  TemporaryFolder folder;
  CommandResult result = run_command("info --json " + folder.path("info.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  nlohmann::json json = read_json(folder.path("info.json"));
  EXPECT_EQ(json["command"], "info");
  EXPECT_EQ(json["version"], version());
  EXPECT_FALSE(json["machine"]["cpu"].get<std::string>().empty());
  EXPECT_GE(json["machine"]["cpus"].get<int>(), 1);
  EXPECT_GE(json["machine"]["usable_threads"].get<int>(), 1);
  EXPECT_GT(json["machine"]["memory_bytes"].get<int64_t>(), 0);
  ASSERT_EQ(json["backends"].size(), backends().size());
  for (size_t i = 0; i < backends().size(); ++i) {
    EXPECT_EQ(json["backends"][i]["name"], backends()[i].name);
    EXPECT_EQ(json["backends"][i]["built"], backends()[i].built);
    EXPECT_EQ(json["backends"][i]["usable"], backends()[i].usable);
    EXPECT_EQ(json["backends"][i]["reason"], backends()[i].reason);
  }
}

TEST(Info, ShowsTheBackendThatTheEnvironmentForces) {
  TemporaryFolder folder;
  CommandResult result = run_command("info --json " + folder.path("info.json"), "FLASH_MLA_BACKEND=scalar");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read_json(folder.path("info.json"))["default_backend"], "scalar");
}

TEST(Info, WarnsOfABackendThatDoesNotExist) {
  CommandResult result = run_command("info", "FLASH_MLA_BACKEND=abacus");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err.rfind("flash_mla: warning: ", 0), 0u) << result.err;
  EXPECT_NE(result.err.find("abacus"), std::string::npos) << result.err;
}

TEST(Info, JsonThatCannotBeWrittenIsAnError) {
  CommandResult result = run_command("info --json /nonexistent/info.json");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "flash_mla: error: cannot write '/nonexistent/info.json': No such file or directory\n");
}

}  // namespace
}  // namespace flash_mla
