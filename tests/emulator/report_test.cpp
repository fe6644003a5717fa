// `flash_mla_emulator report`, as one uses it: on a program that runs kernels, on what it recorded, and wrongly.
#include <gtest/gtest.h>

#include <fstream>

#include "../cli/command.h"

namespace flash_mla {
namespace {

/// Adds numbers: 3 launches, of which the last reads out of bounds.
const std::string kProgram = EMULATOR_DRIVER_TEST " " EMULATOR_DRIVER;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Report, RunsAProgramAndSaysWhatItLaunched) {
  const TemporaryFolder folder;
  const CommandResult result = run_command("report --json " + folder.path("json") + " -- " + kProgram);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "add: 3 launches")) << result.out;
  EXPECT_TRUE(contains(result.out, "reports: 1")) << result.out;
  EXPECT_TRUE(contains(result.out, "100.0 % of 15 instructions")) << result.out;
  const nlohmann::json json = read_json(folder.path("json"));
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0]["kernel"], "add");
  EXPECT_EQ(json[0]["launches"], 3);
  uint64_t executions = 0, by_class = 0;
  for (const auto& each : json[0]["instructions"]) executions += each["executions"].get<uint64_t>();
  for (const auto& [name, count] : json[0]["classes"].items()) by_class += count.get<uint64_t>();
  EXPECT_GT(executions, 0u);
  EXPECT_EQ(by_class, executions);
}

TEST(Report, AddsUpWhatProgramsRecorded) {
  const TemporaryFolder folder;
  const std::string log = folder.path("log"), record = "FLASH_MLA_EMULATOR_COUNTERS=" + log + " ";
  for (int i = 0; i < 2; ++i) ASSERT_EQ(std::system((record + kProgram + " 2>" + folder.path("err")).c_str()), 0);
  const CommandResult result = run_command("report " + log);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "add: 6 launches")) << result.out;
}

TEST(Report, SaysWhenTheFileCannotBeWritten) {
  const TemporaryFolder folder;
  const std::string command = "FLASH_MLA_EMULATOR_COUNTERS=/nowhere/log " + kProgram + " 2>" + folder.path("err");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(folder.path("err"));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(contains(text, "FLASH_MLA_EMULATOR_COUNTERS = /nowhere/log: cannot be written: No such file")) << text;
}

TEST(Report, RefusesWhatItCannotUse) {
  const TemporaryFolder folder;
  const std::string other = folder.file("other", "some text\n"), empty = folder.file("empty", "");
  const struct {
    std::string arguments, message;
  } wrong[] = {
      {"", "A subcommand is required"},
      {"report", "report: either FILE or -- PROGRAM is needed"},
      {"report " + other + " -- true", "report: either FILE or -- PROGRAM is needed"},
      {"report nowhere", "nowhere: No such file or directory"},
      {"report " + empty, empty + ": no launch was recorded"},
      {"report " + other, other + ":1: no record as FLASH_MLA_EMULATOR_COUNTERS has the emulator write them"},
      {"report -- /nowhere/program", "/nowhere/program: cannot be run: No such file or directory"},
      {"report -- true", "true: launched no kernel through libcuda.so.1"},
      {"report --kernel other -- " + kProgram, "--kernel other: no kernel with this in its name ran"},
      {"report --json /nowhere/json -- " + kProgram, "--json /nowhere/json: No such file or directory"},
      {"report --jsn x", "The following argument was not expected: --jsn"},
  };
  for (const auto& each : wrong) {
    const CommandResult result = run_command(each.arguments);
    EXPECT_EQ(result.exit_code, 2) << each.arguments;
    EXPECT_TRUE(contains(result.err, "flash_mla_emulator: error: " + each.message)) << each.arguments << result.err;
  }
}

TEST(Report, PassesOnThatTheProgramFailed) {
  const CommandResult result = run_command("report -- sh -c '" + kProgram + "; exit 3'");
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_TRUE(contains(result.err, "warning: sh ended with 3")) << result.err;
  EXPECT_TRUE(contains(result.out, "add: 3 launches")) << result.out;
}

}  // namespace
}  // namespace flash_mla
