// What kv-cost says: text, JSON and a plot.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/report.h"
#include "kv_cost/cost.h"

namespace flash_mla::cli {

struct Question {
  Precision precision;
  Load load;
  int64_t budget = 0;  ///< bytes; 0: none
};

struct Answer {
  ModelCache model;
  int64_t bytes_per_token = 0;
  int64_t bytes_per_token_past_windows = 0;
  int64_t bytes = 0;
  std::optional<int64_t> expanded_bytes_per_token;  ///< of MLA models: at 16 bits, if heads were cached
  std::optional<int64_t> longest_length;            ///< with a budget
  std::optional<int64_t> largest_batch;
};

/// Errors: invalid_argument, of cache_bytes().
Result<Answer> answer(const ModelCache& model, const Question& question);

/// "bf16", "8 bits, a scale of 4 bytes for each 128", ...
std::string describe(const Precision& precision);

void print_answers(std::span<const Answer> answers, const Question& question);
/// Keys of the question, and of the answer to it.
Json answer_to_json(const Answer& answer, const Question& question);
/// The object of the first model, with `models` for all.
Json answers_to_json(std::span<const Answer> answers, const Question& question);
/// A panel a model: bytes against length as it is, and as MHA, GQA (8 heads) and MQA would be.
Status plot_answers(const std::string& path, std::span<const Answer> answers, const Question& question);

}  // namespace flash_mla::cli
