// `flash_mla bench` as its user sees it.
#include <gtest/gtest.h>

#include <filesystem>

#include "command.h"
#include "flash_mla/backend.h"

namespace flash_mla {
namespace {

constexpr const char* kTiny =
    "bench --batch 1,2 --s-k 65 --h-q 8 --s-q 1 --lengths uniform --seconds 0 --repetitions 5 --threads 1";

TEST(BenchCommand, RowsHoldWhatTheyShould) {
  TemporaryFolder folder;
  const std::string file = folder.path("bench.json");
  const CommandResult result = run_command(std::string(kTiny) + " --cache cold,warm --json " + file);
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  const nlohmann::json json = read_json(file);
  EXPECT_EQ(json["command"], "bench");
  EXPECT_GT(json["roofline"]["peak_gflops"], 0);
  EXPECT_GT(json["roofline"]["bandwidth_gbps"], 0);
  EXPECT_TRUE(json["roofline"]["credible"].is_boolean());
  ASSERT_EQ(json["rows"].size(), 4U);
  for (const auto& row : json["rows"]) {
    EXPECT_EQ(row["backend"], find_backend("").value().name);
    EXPECT_EQ(row["dtype"], "bfloat16");
    EXPECT_EQ(row["s_k"], 65);
    EXPECT_EQ(row["h_q"], 8);
    EXPECT_EQ(row["d"], 576);
    EXPECT_EQ(row["d_v"], 512);
    EXPECT_EQ(row["page"], 64);
    EXPECT_EQ(row["lengths"], "uniform");
    EXPECT_EQ(row["pages"], "shuffled");
    EXPECT_EQ(row["window"], 0);
    EXPECT_EQ(row["threads"], 1);
    EXPECT_GT(row["median_us"], 0);
    EXPECT_GT(row["gflops"], 0);
    EXPECT_GT(row["gbps"], 0);
    EXPECT_TRUE(row["bound"] == "compute" || row["bound"] == "memory");
    EXPECT_TRUE(row["share"].is_null() || row["share"] > 0);
    const double flop = 2.0 * row["b"].get<double>() * 8 * 65 * (576 + 512);
    EXPECT_NEAR(row["gflops"].get<double>(), flop / row["median_us"].get<double>() * 1e-3, 1e-6 * flop);
  }
  EXPECT_EQ(json["rows"][0]["cache"], "cold");
  EXPECT_EQ(json["rows"][2]["cache"], "warm");
  EXPECT_EQ(json["rows"][2]["copies"], 1);
  EXPECT_GE(json["rows"][0]["copies"].get<double>() * 65 * 576 * 2, 256e6);
}

TEST(BenchCommand, RunsTheBackendThatIsNamed) {
  TemporaryFolder folder;
  const std::string file = folder.path("bench.json");
  const CommandResult result = run_command(
      std::string(kTiny) + " --backend scalar --dtype float32 --ordered-pages --causal --window 33 --json " + file);
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  const nlohmann::json row = read_json(file)["rows"][0];
  EXPECT_EQ(row["backend"], "scalar");
  EXPECT_EQ(row["dtype"], "float32");
  EXPECT_EQ(row["pages"], "ordered");
  EXPECT_EQ(row["window"], 33);
}

void expect_refused(const std::string& arguments, const std::string& message) {
  const CommandResult result = run_command("bench " + arguments);
  EXPECT_EQ(result.exit_code, 2) << arguments;
  EXPECT_NE(result.err.find(message), std::string::npos) << arguments << ": " << result.err;
}

TEST(BenchCommand, BadOptionsAreRefused) {
  expect_refused("--backend abacus", "abacus");
  expect_refused("--batch 0", "--batch");
  expect_refused("--h-q 1,x", "--h-q");
  expect_refused("--s-k -5", "--s-k");
  expect_refused("--lengths long", "--lengths");
  expect_refused("--cache hot", "--cache");
  expect_refused("--dtype int8", "--dtype");
  expect_refused("--d 5000", "--d");
  expect_refused("--threads -1", "--threads");
  expect_refused("--repetitions 0", "--repetitions");
  expect_refused("--h-q 3 --h-kv 2 --threads 1", "h_q = 3");
  expect_refused("--d 64 --d-v 128 --threads 1", "d_v = 128");
  expect_refused("--batch 1000000 --s-k 1000000 --threads 1", "GiB");
  expect_refused("--plot picture.bmp", "picture.bmp");
  expect_refused("--json /nowhere/at/all.json", "/nowhere/at/all.json");
}

}  // namespace
}  // namespace flash_mla
