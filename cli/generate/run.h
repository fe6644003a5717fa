// A run of generate: prompts through an engine, and what came of them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "flash_mla/status.h"
#include "text/tokenizer.h"

namespace flash_mla::cli {

struct RunOptions {
  std::string model;  ///< a folder
  runtime::Precision precision = runtime::Precision::float32;
  runtime::ComputeOptions compute;
  runtime::EngineOptions engine;
  runtime::SamplingOptions sampling;
  std::vector<int32_t> end_tokens;
  std::vector<std::string> stops;
  std::optional<int64_t> max_tokens;  ///< a prompt; absent: kMaxTokens, or fewer where the model has no positions
};

inline constexpr int64_t kMaxTokens = 64;

/// A token's way: how long it took, and what its step read.
struct TokenTime {
  int64_t length = 0;   ///< tokens of the sequence that its query saw, itself included
  int64_t queries = 0;  ///< tokens of its sequence that the model ran for it
  int64_t pages = 0;    ///< of its sequence
  double seconds = 0;   ///< since the token before, or since the start
};

struct Answer {
  std::string prompt;
  std::vector<int32_t> prompt_tokens;
  std::vector<int32_t> tokens;
  std::string text;
  std::string finish;  ///< "end", "length", "stop", "interrupted"
  std::vector<TokenTime> times;
  std::vector<int32_t> pages;  ///< page table after its last step
};

struct Run {
  RunOptions options;
  runtime::ModelConfig model;
  int64_t weight_bytes = 0;
  int64_t cache_bytes_per_page = 0;
  int64_t num_pages = 0;
  std::vector<Answer> answers;
  runtime::EngineStatistics statistics;
  KvCacheStatistics cache;
  std::vector<runtime::StepRecord> steps;
  double load_seconds = 0;
  double seconds = 0;
  std::string backend;
};

/// Called with every piece of text as it becomes certain.
using OnText = std::function<void(size_t answer, std::string_view text)>;

/// Errors: those of tokenizer, model and engine.
Result<Run> generate(const RunOptions& options, const runtime::Tokenizer& tokenizer,
                     const std::vector<std::string>& prompts, const OnText& on_text);

}  // namespace flash_mla::cli
