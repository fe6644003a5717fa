// The built command: kv-cost, and bench --suite kv-figures.
#include <gtest/gtest.h>

#include "command.h"

namespace flash_mla {
namespace {

void expect_error(const std::string& arguments, const std::string& message) {
  const CommandResult result = run_command(arguments);
  EXPECT_EQ(result.exit_code, 2) << arguments;
  EXPECT_EQ(result.out, "") << arguments;
  EXPECT_NE(result.err.find(message), std::string::npos) << result.err;
}

TEST(KvCostCommand, ReportsAsTextAndJson) {
  const TemporaryFolder folder;
  const CommandResult result = run_command(
      "kv-cost --model deepseek-v3,llama-2-7b --batch 2 --length 65 --budget 1G --json " + folder.path("cost.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("70272"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("524288"), std::string::npos) << result.out;
  const nlohmann::json json = read_json(folder.path("cost.json"));
  EXPECT_EQ(json["command"], "kv-cost");
  EXPECT_EQ(json["bytes_per_token"], 70272);
  EXPECT_EQ(json["bytes"], 2 * 128 * 70272);
  EXPECT_EQ(json["expanded_bytes_per_token"], 4997120);
  EXPECT_EQ(json["budget"]["bytes"], 1 << 30);
  EXPECT_EQ(json["budget"]["longest_length"], 119 * 64);  // 2^30 / (2 * 61 * 73,728) = 119.4 pages
  EXPECT_EQ(json["budget"]["largest_batch"], 119);        // of two pages
  ASSERT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][1]["bytes_per_token"], 524288);
  EXPECT_TRUE(json["models"][1]["expanded_bytes_per_token"].is_null());
}

TEST(KvCostCommand, AllKnownModelsUnlessSomeAreNamed) {
  const CommandResult result = run_command("kv-cost");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* name : {"deepseek-v3 ", "llama-3-8b ", "falcon-7b ", "gemma-3-27b "}) {
    EXPECT_NE(result.out.find(name), std::string::npos) << name;
  }
}

TEST(KvCostCommand, ReadsConfigs) {
  const TemporaryFolder folder;
  const std::string config =
      folder.file("tiny.json", R"({"num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8})");
  const CommandResult result = run_command(
      "kv-cost --config " + config + " --bits 8 --scale-group 4 --scale-bytes 2 --page-size 1 --length 3 --json " +
      folder.path("cost.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json json = read_json(folder.path("cost.json"));
  EXPECT_EQ(json["model"], "tiny");
  EXPECT_EQ(json["bytes_per_token"], 2 * 2 * (8 + 2 * 2));
  EXPECT_EQ(json["bytes"], 3 * 48);
}

TEST(KvCostCommand, DrawsAPlot) {
  const TemporaryFolder folder;
  const std::string plot = folder.path("cost.svg");
  const CommandResult result = run_command("kv-cost --model deepseek-v3 --plot " + plot);
  if (result.err.find("gnuplot is not installed") != std::string::npos) GTEST_SKIP() << result.err;
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GT(std::filesystem::file_size(plot), 1000u);
}

TEST(KvCostCommand, BadInputExitsWith2) {
  const TemporaryFolder folder;
  const std::string config = folder.file("config.json", R"({"num_hidden_layers": 0})");
  expect_error("kv-cost --config " + config, "num_hidden_layers is 0: must be an integer of 1 to 131072");
  expect_error("kv-cost --config " + folder.file("broken.json", "{"), "is not a JSON object");
  expect_error("kv-cost --config /nonexistent", "config '/nonexistent' cannot be read");
  expect_error("kv-cost --model abacus", "--model is 'abacus': must be one of deepseek-v2-lite");
  expect_error("kv-cost --model gpt2 --budget 3tokens", "--budget is '3tokens'");
  expect_error("kv-cost --model gpt2 --bits 7", "--bits");
  expect_error("kv-cost --model gpt2 --length 0", "--length");
  expect_error("kv-cost --model gpt2 --batch 1099511627776 --length 1099511627776", "gpt2: 1099511627776 sequences");
  expect_error("kv-cost --model gpt2 --plot cost.jpg", "must end in .svg or .png");
  expect_error("kv-cost --plot cost.svg", "draws a panel a model");
  expect_error("kv-cost --model gpt2 --json /nonexistent/cost.json", "cannot write");
}

TEST(KvCacheSuite, TimesEveryOperation) {
  const TemporaryFolder folder;
  const CommandResult result = run_command("bench --suite kv-cache --json " + folder.path("k.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json json = read_json(folder.path("k.json"));
  EXPECT_EQ(json["suite"], "kv-cache");
  EXPECT_TRUE(json["complete"]);
  ASSERT_EQ(json["operations"].size(), 4u) << "pools of 1,000 to 1,000,000 pages";
  for (const nlohmann::json& row : json["operations"]) {
    for (const char* what : {"allocate_ns", "free_ns", "lookup_ns", "fork_ns", "append_ns"}) {
      EXPECT_GT(row[what].get<double>(), 0) << what;
      EXPECT_LT(row[what].get<double>(), 10000) << what << ": 10 us for what takes tens of ns";
    }
  }
  EXPECT_NE(result.out.find("1000000"), std::string::npos) << result.out;
}

TEST(KvFiguresCommand, RunsOnTheSample) {
  const TemporaryFolder folder;
  const CommandResult result =
      run_command("bench --suite kv-figures --kv-tokens 131072 --requests 0 --json " + folder.path("f.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json json = read_json(folder.path("f.json"));
  EXPECT_EQ(json["command"], "bench");
  EXPECT_EQ(json["suite"], "kv-figures");
  const nlohmann::json row = json["traces"][0]["queue"]["rows"][5];
  EXPECT_EQ(row["held"], "paged-64");
  EXPECT_NEAR(row["utilisation_mean"].get<double>(), 0.960, 0.0005);
  EXPECT_NE(result.out.find("96.0 %"), std::string::npos) << result.out;
}

TEST(KvFiguresCommand, ReadsHashesOfMooncakeTraces) {
  const TemporaryFolder folder;
  const std::string trace = folder.file("t.jsonl",
                                        "{\"input_length\": 1000, \"output_length\": 3, \"hash_ids\": [0, 1]}\n"
                                        "{\"input_length\": 1000, \"output_length\": 5, \"hash_ids\": [0, 2]}\n");
  const CommandResult result =
      run_command("bench --suite kv-figures --trace " + trace + " --json " + folder.path("f.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read_json(folder.path("f.json"))["traces"][0]["lru"]["rows"][0]["hit_rate"], 0.25);
}

TEST(KvFiguresCommand, BadInputExitsWith2) {
  expect_error("bench --suite kv-figures --trace /nonexistent", "trace '/nonexistent' cannot be read");
  expect_error("bench --suite kv-figures --kv-tokens 100", "examples/traces/sample.csv: line ");
  expect_error("bench --suite abacus", "--suite");
}

}  // namespace
}  // namespace flash_mla
