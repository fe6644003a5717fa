// The built command replays small traces.
#include <gtest/gtest.h>

#include <cmath>

#include "command.h"

namespace flash_mla {
namespace {

const std::string kTrace =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2026-01-01 00:00:00.000000,100,9\n"
    "2026-01-01 00:00:00.100000,3,20\n"
    "2026-01-01 00:00:00.200000,64,1\n"
    "2026-01-01 00:00:00.300000,170,30\n";

class Replay : public ::testing::Test {
 protected:
  /// Replays and returns the JSON; the command must end well.
  nlohmann::json replay(const std::string& arguments, const std::string& prefix = {}, bool roofline = false) {
    const CommandResult result = run_command(
        "replay " + arguments + (roofline ? "" : " --no-roofline") + " --json " + folder_.path("replay.json"), prefix);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    out_ = result.out;
    err_ = result.err;
    return read_json(folder_.path("replay.json"));
  }

  void expect_error(const std::string& arguments, const std::string& message) {
    const CommandResult result = run_command("replay " + arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments;
    EXPECT_EQ(result.out, "") << arguments;
    EXPECT_EQ(result.err, "flash_mla: error: " + message + "\n") << arguments;
  }

  TemporaryFolder folder_;
  const std::string trace_ = folder_.file("trace.csv", kTrace);
  std::string out_;
  std::string err_;
};

TEST_F(Replay, ReportsWhatItDid) {
  const nlohmann::json json = replay("--trace " + trace_ + " --layers 2 --verify 12");
  EXPECT_EQ(json["command"], "replay");
  EXPECT_EQ(json["ended"], "complete");
  EXPECT_EQ(json["requests"], 4);
  EXPECT_EQ(json["requests_total"], 4);
  EXPECT_EQ(json["preemptions"], 0);
  EXPECT_EQ(json["tokens"], 9 + 20 + 1 + 30);
  EXPECT_EQ(json["prompt_tokens"], 100 + 3 + 64 + 170);
  EXPECT_EQ(json["steps"], 30);  // all run from the start: as many as the longest answer
  EXPECT_EQ(json["batch"]["max"], 4);
  EXPECT_DOUBLE_EQ(json["batch"]["mean"].get<double>(), 60.0 / 30);
  EXPECT_GT(json["tokens_per_s"].get<double>(), 0);
  EXPECT_GT(json["gflops"].get<double>(), 0);
  EXPECT_GE(json["step_ms"]["p99"].get<double>(), json["step_ms"]["p50"].get<double>());
  EXPECT_TRUE(json["share"].is_null());
  EXPECT_TRUE(json["roofline"].is_null());
  EXPECT_GT(json["page_utilisation_min"].get<double>(), 0);
  EXPECT_LE(json["page_utilisation_mean"].get<double>(), 1);
  EXPECT_EQ(json["preallocation"]["max_len"], 200);
  EXPECT_GE(json["verified"]["samples"].get<int>(), 8);
  EXPECT_EQ(json["verified"]["failed"], 0);
  const auto ratio = json["verified"]["worst"]["ratio_to_bar"].get<double>();
  EXPECT_GT(ratio, 0);
  EXPECT_LE(ratio, 1);
  EXPECT_NE(out_.find("4 of 4 finished"), std::string::npos) << out_;
}

TEST_F(Replay, MeasuresTheRooflineInTheSameRun) {
  const nlohmann::json json = replay("--trace " + trace_ + " --layers 1", "", true);
  EXPECT_EQ(json["roofline"]["backend"], json["settings"]["backend"]);
  EXPECT_EQ(json["roofline"]["threads"], json["settings"]["threads"]);
  EXPECT_GT(json["roofline"]["peak_gflops"].get<double>(), json["gflops"].get<double>());
  EXPECT_EQ(json["roofline"]["credible"].get<bool>(), !json["share"].is_null());
}

TEST_F(Replay, PageUseIsThatOfTheTrace) {
  // One sequence: 60 tokens of prompt, then 61 to 70 over pages of 64; max_len is 70.
  const std::string trace = folder_.file("one.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\nt,60,10\n");
  const nlohmann::json json = replay("--trace " + trace + " --layers 1 --kv-budget 256tokens");
  const double in_one_page = (61 + 62 + 63 + 64) / 64.0;
  const double in_two_pages = (65 + 66 + 67 + 68 + 69 + 70) / 128.0;
  EXPECT_NEAR(json["page_utilisation_mean"].get<double>(), (in_one_page + in_two_pages) / 10, 1e-12);
  EXPECT_NEAR(json["page_utilisation_min"].get<double>(), 65 / 128.0, 1e-12);
  EXPECT_NEAR(json["pool_occupancy_mean"].get<double>(), (4 * 0.25 + 6 * 0.5) / 10, 1e-12);
  EXPECT_NEAR(json["preallocation"]["utilisation_mean"].get<double>(), (65.5 * 10) / (70 * 10), 1e-12);
  EXPECT_EQ(json["preallocation"]["sequences"], 3);  // 256 / 70
}

TEST_F(Replay, ReadsMooncakeTraces) {
  const std::string trace =
      folder_.file("trace.jsonl",
                   "{\"timestamp\": 0, \"input_length\": 50, \"output_length\": 3, \"hash_ids\": [0]}\n"
                   "{\"timestamp\": 9, \"input_length\": 70, \"output_length\": 5, \"hash_ids\": [1]}\n");
  const nlohmann::json json = replay("--trace " + trace + " --layers 1");
  EXPECT_EQ(json["settings"]["format"], "mooncake");
  EXPECT_EQ(json["tokens"], 8);
  EXPECT_EQ(json["prompt_tokens"], 120);
}

// Ids stand for 512 tokens each: the second request begins as the first does.
const std::string kSharedPrefix =
    "{\"timestamp\": 0, \"input_length\": 1100, \"output_length\": 3, \"hash_ids\": [0, 1, 2]}\n"
    "{\"timestamp\": 9, \"input_length\": 1300, \"output_length\": 5, \"hash_ids\": [0, 1, 3]}\n";

TEST_F(Replay, SharesPrefixesThatTheTraceNames) {
  const std::string trace = folder_.file("trace.jsonl", kSharedPrefix);
  const std::string arguments = "--trace " + trace + " --layers 1 --max-batch 1 --verify 8";
  const nlohmann::json json = replay(arguments);
  EXPECT_EQ(json["shared_tokens"], 1024);
  EXPECT_EQ(json["prompt_tokens"], 1100 + 1300 - 1024);
  EXPECT_EQ(json["verified"]["failed"], 0);
  EXPECT_NE(out_.find("1,024 found in the cache"), std::string::npos) << out_;
  const nlohmann::json apart = replay(arguments + " --no-prefix-cache");
  EXPECT_EQ(apart["shared_tokens"], 0);
  EXPECT_EQ(apart["prompt_tokens"], 1100 + 1300);
  EXPECT_EQ(apart["verified"]["failed"], 0);
}

TEST_F(Replay, AWindowFreesWhatItLeaves) {
  const std::string trace = folder_.file("long.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\nt,2000,8\n");
  const std::string arguments = "--trace " + trace + " --layers 1 --page-size 16 --verify 8 --kv-budget 2048tokens";
  const auto whole = replay(arguments)["pool_occupancy_mean"].get<double>();
  const nlohmann::json json = replay(arguments + " --window 64 --sinks 16");
  EXPECT_EQ(json["verified"]["failed"], 0);
  EXPECT_EQ(json["tokens"], 8);
  EXPECT_GT(whole, 0.95);
  EXPECT_LT(json["pool_occupancy_mean"].get<double>(), 0.1) << "5 pages of a window, one of sinks, of 128";
}

TEST_F(Replay, TheSameSeedGivesTheSameRun) {
  const std::string arguments = "--trace " + trace_ + " --layers 1 --threads 1 --seed ";
  const nlohmann::json first = replay(arguments + "5");
  const nlohmann::json again = replay(arguments + "5");
  const nlohmann::json other = replay(arguments + "6");
  for (const char* key : {"requests", "tokens", "prompt_tokens", "steps", "preemptions", "verified"}) {
    EXPECT_EQ(first[key], again[key]) << key;
  }
  EXPECT_EQ(first["steps"], other["steps"]);
  EXPECT_NE(first["verified"]["worst"], other["verified"]["worst"]);
}

TEST_F(Replay, PreemptsWhenPagesRunOutAndStillEndsRight) {
  std::string text = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (int i = 0; i < 6; ++i) text += "t,40,60\n";
  const nlohmann::json json = replay("--trace " + folder_.file("six.csv", text) +
                                     " --layers 1 --page-size 16 --kv-budget 304tokens --verify 60");
  EXPECT_GT(json["preemptions"].get<int>(), 0);
  EXPECT_EQ(json["requests"], 6);
  EXPECT_EQ(json["tokens"], 360);
  EXPECT_GT(json["prompt_tokens"].get<int>(), 240);  // some were computed again
  EXPECT_GE(json["verified"]["samples"].get<int>(), 50);
  EXPECT_EQ(json["verified"]["failed"], 0);
}

TEST_F(Replay, RunsTheGeometriesOfOtherModels) {
  for (const char* model : {"deepseek-v3", "kimi-k2", "glm-4.7-flash", "minicpm3", "mistral-small-4"}) {
    const nlohmann::json json = replay("--trace " + trace_ + " --layers 1 --model " + model);
    EXPECT_EQ(json["settings"]["model"], model);
    EXPECT_EQ(json["tokens"], 60) << model;
    EXPECT_EQ(json["verified"]["failed"], 0) << model;
  }
}

TEST_F(Replay, TheForcedBackendRuns) {
  const nlohmann::json json = replay("--trace " + trace_ + " --layers 1 --backend scalar");
  EXPECT_EQ(json["settings"]["backend"], "scalar");
  EXPECT_EQ(json["verified"]["failed"], 0);
}

TEST_F(Replay, TheSampleNeedsNoFile) {
  const nlohmann::json json = replay("--requests 3 --layers 1 --time-limit 5");
  EXPECT_EQ(json["requests_total"], 3);
  EXPECT_GT(json["steps"].get<int>(), 0);
  EXPECT_GT(json["verified"]["samples"].get<int>(), 0);
  EXPECT_EQ(json["verified"]["failed"], 0);
}

TEST_F(Replay, TheTimeLimitEndsItWithTheReportSoFar) {
  const nlohmann::json json = replay("--layers 20 --kv-budget 20000tokens --time-limit 0.5");
  EXPECT_EQ(json["ended"], "time limit");
  EXPECT_LT(json["requests"].get<int>(), json["requests_total"].get<int>());
  EXPECT_NE(out_.find("stopped at the time limit"), std::string::npos) << out_;
}

TEST_F(Replay, AnInterruptEndsItWithTheReportSoFar) {
  const nlohmann::json json =
      replay("--layers 20 --kv-budget 20000tokens --time-limit 100", "timeout --preserve-status -s INT 3");
  EXPECT_EQ(json["ended"], "interrupted");
  EXPECT_LT(json["seconds"]["total"].get<double>(), 50);
  EXPECT_NE(out_.find("interrupted"), std::string::npos) << out_;
}

TEST_F(Replay, DrawsAPlotIfGnuplotIsThere) {
  const bool gnuplot = std::system("command -v gnuplot >/dev/null 2>&1") == 0;
  for (const char* name : {"run.svg", "run.png"}) {
    replay("--trace " + trace_ + " --layers 1 --plot " + folder_.path(name));
    EXPECT_EQ(std::filesystem::exists(folder_.path(name)), gnuplot);
    EXPECT_EQ(err_.find("gnuplot is not installed") == std::string::npos, gnuplot) << err_;
  }
}

TEST_F(Replay, AMissingGnuplotCostsThePictureOnly) {
  replay("--trace " + trace_ + " --layers 1 --plot " + folder_.path("run.svg"), "PATH=/nonexistent");
  EXPECT_EQ(err_, "flash_mla: warning: gnuplot is not installed, so no plot can be drawn (Debian: gnuplot-nox)\n");
  EXPECT_FALSE(std::filesystem::exists(folder_.path("run.svg")));
}

TEST_F(Replay, BadTracesAreNamedByLine) {
  const std::string broken = folder_.file("broken.csv", kTrace + "2026-01-01 00:00:00.4,12,many\n");
  expect_error("--trace " + broken, broken + ":6: GeneratedTokens is 'many': must be 0 to 2147483647");
  const std::string jsonl = folder_.file("broken.jsonl", "{\"input_length\": 1}\n");
  expect_error("--trace " + jsonl, jsonl + ":1: the key output_length is missing");
  const std::string empty = folder_.file("empty.csv", "");
  expect_error("--trace " + empty, empty + ":1: the file ends without a request");
  expect_error("--trace " + trace_ + " --format mooncake",
               trace_ + ":1: expected a JSON object, but found 'TIMESTAMP,ContextTokens,GeneratedTokens'");
  expect_error("--trace /nonexistent.csv", "trace '/nonexistent.csv' cannot be read: No such file or directory");
}

TEST_F(Replay, ImpossibleBudgetsNameTheRequest) {
  expect_error("--trace " + trace_ + " --layers 2 --kv-budget 128tokens",
               "--kv-budget 128tokens is too small for the request at " + trace_ +
                   ":5: its 170 + 30 tokens need 4 pages of 64 tokens, but the budget holds 2; give at least 256tokens "
                   "(589824 bytes, at 2304 bytes a token)");
  expect_error("--trace " + trace_ + " --kv-budget lots",
               "--kv-budget is 'lots': must be bytes, such as 2G or 512M, or tokens, such as 131072tokens");
  const CommandResult result = run_command("replay --trace " + trace_ + " --kv-budget 1000000G");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err.rfind("flash_mla: error: the KV cache needs ", 0), 0u) << result.err;
  EXPECT_NE(result.err.find("lower --kv-budget or --layers"), std::string::npos) << result.err;
}

TEST_F(Replay, BackendsOfAGpuAreRefused) {
  const CommandResult result = run_command("replay --backend sm90 --no-roofline", "FLASH_MLA_CUDA_DRIVER=/nowhere ");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err.find("flash_mla: error: backend = sm90 cannot be used here: "), 0u) << result.err;
}

TEST_F(Replay, UnknownNamesAreErrors) {
  CommandResult model = run_command("replay --model gpt-2");
  EXPECT_EQ(model.exit_code, 2);
  EXPECT_EQ(model.err.rfind("flash_mla: error: --model is 'gpt-2': must be one of deepseek-v2-lite, ", 0), 0u)
      << model.err;
  CommandResult backend = run_command("replay --backend abacus");
  EXPECT_EQ(backend.exit_code, 2);
  EXPECT_NE(backend.err.find("abacus"), std::string::npos) << backend.err;
}

TEST_F(Replay, OutputsThatCannotBeWrittenAreFoundBeforeTheRun) {
  expect_error("--json /nonexistent/x.json", "cannot write '/nonexistent/x.json': No such file or directory");
  expect_error("--plot /nonexistent/x.svg", "cannot write '/nonexistent/x.svg': No such file or directory");
  expect_error("--plot " + folder_.path("x.pdf"), "plot file '" + folder_.path("x.pdf") + "' must end in .svg or .png");
}

}  // namespace
}  // namespace flash_mla
