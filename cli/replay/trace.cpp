#include "replay/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

namespace flash_mla::cli {
namespace {

constexpr std::string_view kAzureHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";
constexpr int64_t kMaxTokens = std::numeric_limits<int32_t>::max();  // what a sequence length can hold
constexpr size_t kQuotedLength = 60;

std::string excerpt(std::string_view line) {
  return line.size() <= kQuotedLength ? std::string(line) : std::string(line.substr(0, kQuotedLength)) + "...";
}

Status malformed(std::string_view name, int64_t line, std::string_view what) {
  return {StatusCode::invalid_argument, fmt::format("{}:{}: {}", name, line, what)};
}

bool parse_tokens(std::string_view text, int64_t& tokens) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), tokens);
  return error == std::errc() && end == text.data() + text.size() && tokens >= 0 && tokens <= kMaxTokens;
}

/// The message of a malformed line, or "".
std::string parse_azure(std::string_view line, Request& request) {
  size_t first = line.find(',');
  size_t second = first == std::string_view::npos ? first : line.find(',', first + 1);
  if (second == std::string_view::npos || line.find(',', second + 1) != std::string_view::npos) {
    return fmt::format("expected three fields, {}, but found '{}'", kAzureHeader, excerpt(line));
  }
  std::string_view prompt = line.substr(first + 1, second - first - 1);
  std::string_view answer = line.substr(second + 1);
  if (!parse_tokens(prompt, request.prompt)) {
    return fmt::format("ContextTokens is '{}': must be 0 to {}", excerpt(prompt), kMaxTokens);
  }
  if (!parse_tokens(answer, request.answer)) {
    return fmt::format("GeneratedTokens is '{}': must be 0 to {}", excerpt(answer), kMaxTokens);
  }
  return {};
}

std::string parse_mooncake(std::string_view line, Request& request) {
  nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return fmt::format("expected a JSON object, but found '{}'", excerpt(line));
  for (auto [key, tokens] : {std::pair("input_length", &request.prompt), std::pair("output_length", &request.answer)}) {
    auto field = object.find(key);
    if (field == object.end()) return fmt::format("the key {} is missing", key);
    if (!field->is_number_integer() || !parse_tokens(field->dump(), *tokens)) {
      return fmt::format("{} is {}: must be an integer of 0 to {}", key, excerpt(field->dump()), kMaxTokens);
    }
  }
  const auto ids = object.find("hash_ids");
  if (ids == object.end()) return {};
  bool integers = ids->is_array();
  for (const nlohmann::json& id : *ids) integers = integers && id.is_number_integer();
  if (!integers) return fmt::format("hash_ids is {}: must be a list of integers", excerpt(ids->dump()));
  request.hash_ids = ids->get<std::vector<int64_t>>();
  return {};
}

}  // namespace

const char* name_of(TraceFormat format) {
  switch (format) {
    case TraceFormat::azure:
      return "azure";
    case TraceFormat::mooncake:
      return "mooncake";
    case TraceFormat::automatic:
      break;
  }
  return "auto";
}

int64_t answer_tokens(const Trace& trace) {
  int64_t sum = 0;
  for (const Request& request : trace.requests) sum += request.answer;
  return sum;
}

int64_t longest_request(const Trace& trace) {
  int64_t longest = 0;
  for (const Request& request : trace.requests) longest = std::max(longest, request.total());
  return longest;
}

Result<Trace> read_trace(std::istream& stream, std::string_view name, TraceFormat format, int64_t limit) {
  Trace trace{std::string(name), format, {}};
  bool header_seen = false;
  int64_t number = 0;
  std::string buffer;
  while ((limit == 0 || static_cast<int64_t>(trace.requests.size()) < limit) && std::getline(stream, buffer)) {
    std::string_view line = buffer;
    if (++number == 1 && line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);  // byte order mark
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;

    if (trace.format == TraceFormat::automatic) {
      trace.format = line.front() == '{' ? TraceFormat::mooncake : TraceFormat::azure;
    }
    if (trace.format == TraceFormat::azure && !header_seen) {
      if (line != kAzureHeader) {
        return malformed(name, number,
                         fmt::format("expected the header {}, but found '{}'", kAzureHeader, excerpt(line)));
      }
      header_seen = true;
      continue;
    }
    Request request;
    request.line = number;
    std::string problem =
        trace.format == TraceFormat::azure ? parse_azure(line, request) : parse_mooncake(line, request);
    if (!problem.empty()) return malformed(name, number, problem);
    if (request.total() > kMaxTokens) {
      return malformed(name, number,
                       fmt::format("{} + {} tokens are more than {}", request.prompt, request.answer, kMaxTokens));
    }
    trace.requests.push_back(request);
  }
  if (stream.bad()) {
    return Status{StatusCode::io_error,
                  fmt::format("{}:{}: cannot be read: {}", name, number + 1, std::strerror(errno))};
  }
  if (trace.requests.empty()) return malformed(name, number == 0 ? 1 : number, "the file ends without a request");
  return trace;
}

Result<Trace> read_trace_file(const std::string& path, TraceFormat format, int64_t limit) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return Status{StatusCode::io_error, fmt::format("trace '{}' cannot be read: it is a folder", path)};
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Status{StatusCode::io_error, fmt::format("trace '{}' cannot be read: {}", path, std::strerror(errno))};
  }
  return read_trace(file, path, format, limit);
}

}  // namespace flash_mla::cli
