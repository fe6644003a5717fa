// Hugging Face's tokenizer.json: byte-level BPE.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flash_mla/status.h"

namespace flash_mla::runtime {

struct TokenizerParts;

/// Gives the tokens that the Python package tokenizers gives. Known: BPE without unknown, dropout or byte fallback;
/// NFC; pre-tokenizers Split (isolated) and ByteLevel; post-processors ByteLevel and templates; decoder ByteLevel.
/// Everything else is refused by name.
class Tokenizer {
 public:
  /// Errors: io_error; invalid_argument, unsupported: the message names the file and the key.
  static Result<Tokenizer> load(const std::string& path);
  static Result<Tokenizer> parse(std::string_view json, std::string_view source);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Broken UTF-8 is repaired first. `special`: with what the template puts around a text. Errors: invalid_argument
  /// (the text takes the regular expressions too many steps).
  [[nodiscard]] Result<std::vector<int32_t>> encode(std::string_view given, bool special = true) const;
  /// The bytes of a token, which need not be whole characters; none for an unknown one.
  [[nodiscard]] std::string_view bytes_of(int32_t token) const;
  /// Marks the beginning or end of something, and is not text.
  [[nodiscard]] bool is_special(int32_t token) const;
  /// The text of tokens, repaired where characters are cut.
  [[nodiscard]] std::string decode(const std::vector<int32_t>& tokens, bool skip_special) const;
  /// One past the largest token.
  [[nodiscard]] int64_t size() const;

 private:
  explicit Tokenizer(std::unique_ptr<TokenizerParts> parts);
  std::unique_ptr<TokenizerParts> parts_;
};

}  // namespace flash_mla::runtime
