// The runtime's readers of files: safetensors headers and tokenizer.json, of any bytes. They may be refused; what is
// accepted lies within the file, and text goes through a tokenizer and back.
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "files/safetensors.h"
#include "require.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace flash_mla::fuzz {
namespace {

constexpr size_t kLargestTokenizer = 1 << 16;

void read_weights(std::string_view header) {
  // The header's length is set right, so that what follows is reached; its data are 64 bytes.
  constexpr size_t kData = 64;
  std::vector<std::byte> file(8 + header.size() + kData);
  const uint64_t length = header.size();
  std::memcpy(file.data(), &length, sizeof length);
  std::memcpy(file.data() + 8, header.data(), header.size());
  const Result<runtime::StoredTensors> tensors = runtime::parse_safetensors(file, "fuzzed");
  if (!tensors.ok()) {
    require(!tensors.status().message().empty(), "a refusal says why");
    return;
  }
  for (const auto& [name, tensor] : tensors.value()) {
    require(
        tensor.bytes.data() >= file.data() && tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size(),
        "a tensor lies within its file");
  }
}

void read_tokenizer(std::string_view json) {
  const Result<runtime::Tokenizer> tokenizer = runtime::Tokenizer::parse(json.substr(0, kLargestTokenizer), "fuzzed");
  if (!tokenizer.ok()) return;
  const std::string text = "a b\n12 \xe7\xaa\x97<s> \xff" + std::string(json.substr(0, 200));
  const Result<std::vector<int32_t>> tokens = tokenizer.value().encode(text);
  if (!tokens.ok()) return;
  const std::string back = tokenizer.value().decode(tokens.value(), false);
  require(runtime::repair_utf8(back) == back, "decoded text is UTF-8");
}

}  // namespace
}  // namespace flash_mla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      flash_mla::fuzz::read_weights(rest);
      break;
    case 1:
      flash_mla::fuzz::read_tokenizer(rest);
      break;
    default: {
      const auto* bytes = reinterpret_cast<const std::byte*>(rest.data());
      static_cast<void>(flash_mla::runtime::parse_safetensors({bytes, rest.size()}, "fuzzed"));
    }
  }
  return 0;
}
