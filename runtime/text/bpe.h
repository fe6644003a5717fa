// Byte-pair encoding (Sennrich et al., 2016) over bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flash_mla::runtime {

class Bpe {
 public:
  Bpe() { bytes_.fill(-1); }

  void set_byte(uint8_t byte, int32_t token) { bytes_[byte] = token; }
  /// Tokens `left` and `right` become `merged`; lower ranks first.
  void add_merge(int32_t left, int32_t right, int32_t rank, int32_t merged) {
    merges_[key(left, right)] = {rank, merged};
  }
  /// Words that are tokens as they are, whatever the merges say.
  void set_whole_words(std::unordered_map<std::string, int32_t> words) { words_ = std::move(words); }

  /// Appends a word's tokens. Of pairs of equal rank the first is merged first. Bytes without a token are left out, as
  /// tokenizers does it.
  void encode(std::string_view word, std::vector<int32_t>& tokens) const;

 private:
  struct Merge {
    int32_t rank;
    int32_t merged;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  std::array<int32_t, 256> bytes_{};
  std::unordered_map<uint64_t, Merge> merges_;
  std::unordered_map<std::string, int32_t> words_;
};

}  // namespace flash_mla::runtime
