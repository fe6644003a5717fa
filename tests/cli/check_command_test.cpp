// `flash_mla check` as its user sees it.
#include <gtest/gtest.h>

#include "command.h"
#include "flash_mla/backend.h"

namespace flash_mla {
namespace {

std::vector<std::string> usable_backends() {
  std::vector<std::string> names;
  for (const BackendInfo& info : backends()) {
    if (info.usable && !info.on_cuda) names.emplace_back(info.name);
  }
  return names;
}

class CheckCommand : public testing::TestWithParam<std::string> {};

TEST_P(CheckCommand, QuickPasses) {
  TemporaryFolder folder;
  const std::string file = folder.path("check.json");
  const CommandResult result = run_command("check --quick --backend " + GetParam() + " --json " + file);
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  const nlohmann::json json = read_json(file);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["command"], "check");
  EXPECT_TRUE(json["version"].is_string());
  EXPECT_TRUE(json["machine"].is_object());
  EXPECT_GT(json["cases"], 100);
  EXPECT_EQ(json["failed"], 0);
  EXPECT_TRUE(json["failures"].empty());
  ASSERT_EQ(json["backends"].size(), 1U);
  EXPECT_EQ(json["backends"][0]["backend"], GetParam());
  EXPECT_EQ(json["backends"][0]["cases"], json["cases"]);
  for (const char* key : {"out_abs", "out_cos", "lse_abs", "ratio_to_bar"}) {
    ASSERT_TRUE(json["worst"][key].is_number()) << key;
    EXPECT_GT(json["worst"][key], 0) << key;
  }
  EXPECT_LE(json["worst"]["ratio_to_bar"], 1);
  EXPECT_NE(result.out.find(GetParam()), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Backends, CheckCommand, testing::ValuesIn(usable_backends()),
                         [](const testing::TestParamInfo<std::string>& tested) { return tested.param; });

TEST(CheckCommandUsage, RunsEveryUsableBackendUnlessOneIsNamed) {
  TemporaryFolder folder;
  const std::string file = folder.path("check.json");
  const CommandResult result = run_command("check --quick --group 'odd widths' --json " + file);
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  const nlohmann::json json = read_json(file);
  std::vector<std::string> names;
  for (const auto& backend : json["backends"]) names.push_back(backend["backend"]);
  EXPECT_EQ(names, usable_backends());
}

void expect_refused(const std::string& arguments, const std::string& message) {
  const CommandResult result = run_command(arguments);
  EXPECT_EQ(result.exit_code, 2) << arguments;
  EXPECT_EQ(result.out, "") << arguments;
  EXPECT_NE(result.err.find(message), std::string::npos) << arguments << ": " << result.err;
}

TEST(CheckCommandUsage, BadOptionsAreRefused) {
  expect_refused("check --backend abacus", "abacus");
  expect_refused("check --group nonsense", "there is no group nonsense; groups are: FlashMLA");
  expect_refused("check --threads -1", "--threads");
  expect_refused("check --threads many", "--threads");
  expect_refused("check --seed x", "--seed");
  expect_refused("check --slow", "--slow");
  expect_refused("check --quick --json /nowhere/at/all.json", "/nowhere/at/all.json");
}

}  // namespace
}  // namespace flash_mla
