// Encodes and decodes strings for the Python tests: tokenizer_probe TOKENIZER FILE. The file holds strings in
// hexadecimal, one a line; for each it prints a line {"ids": [...], "text": "...", "streamed": "..."}, the texts in
// hexadecimal too.
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

std::string from_hexadecimal(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string to_hexadecimal(const std::string& bytes) {
  std::string digits;
  for (const char byte : bytes) digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return digits;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace flash_mla::runtime;
  if (argc != 3) return 2;
  const auto tokenizer = Tokenizer::load(argv[1]);
  if (!tokenizer.ok()) {
    fmt::print(stderr, "{}\n", tokenizer.status().message());
    return 2;
  }
  std::ifstream file(argv[2]);
  for (std::string line; std::getline(file, line);) {
    const auto ids = tokenizer.value().encode(from_hexadecimal(line));
    if (!ids.ok()) {
      fmt::print(stderr, "{}\n", ids.status().message());
      return 2;
    }
    Utf8Stream stream;
    std::string streamed;
    for (const int32_t id : ids.value()) streamed += stream.push(tokenizer.value().bytes_of(id));
    streamed += stream.finish();
    const nlohmann::json result = {{"ids", ids.value()},
                                   {"text", to_hexadecimal(tokenizer.value().decode(ids.value(), false))},
                                   {"streamed", to_hexadecimal(streamed)}};
    fmt::print("{}\n", result.dump());
  }
  return 0;
}
