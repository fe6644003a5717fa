// Request traces: how long each request's prompt and answer were, in order of arrival.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::cli {

inline constexpr int64_t kHashedTokens = 512;  ///< Mooncake's block

struct Request {
  int64_t prompt = 0;               ///< tokens, 0 or more
  int64_t answer = 0;               ///< tokens to generate, 0 or more
  int64_t line = 0;                 ///< of the trace file, from 1
  std::vector<int64_t> hash_ids{};  ///< of each kHashedTokens tokens of the prompt: equal ids are equal beginnings

  [[nodiscard]] int64_t total() const { return prompt + answer; }
};

enum class TraceFormat {
  automatic,  ///< mooncake if the first line starts with '{', else azure
  azure,      ///< CSV with the header TIMESTAMP,ContextTokens,GeneratedTokens
  mooncake,   ///< JSON lines with input_length, output_length and, for shared prefixes, hash_ids
};

const char* name_of(TraceFormat format);

struct Trace {
  std::string name;  ///< the file as the user gave it
  TraceFormat format = TraceFormat::azure;
  std::vector<Request> requests;  ///< at least one
};

/// Over all requests.
int64_t answer_tokens(const Trace& trace);
/// Of the longest request, prompt and answer.
int64_t longest_request(const Trace& trace);

/// Reads up to `limit` requests (0: all). Errors name the file and the line: io_error (cannot be read),
/// invalid_argument (malformed, or without a request).
Result<Trace> read_trace(std::istream& stream, std::string_view name, TraceFormat format, int64_t limit);
Result<Trace> read_trace_file(const std::string& path, TraceFormat format, int64_t limit);

/// The sample that this program carries: examples/traces/sample.csv.
std::string_view sample_trace_text();
inline constexpr std::string_view kSampleTraceName = "examples/traces/sample.csv";

}  // namespace flash_mla::cli
