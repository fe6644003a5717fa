#include "text/tokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

#include "common/error.h"
#include "files/mapped_file.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

namespace flash_mla::runtime {
namespace {

constexpr size_t kLargestFile = 256 << 20;

/// A part of the text: a token that was found in it, or text.
struct Part {
  std::string_view text;
  int32_t token = -1;
};

Result<std::string> normalise(std::string_view text) {
  utf8proc_uint8_t* composed = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                               static_cast<utf8proc_ssize_t>(text.size()), &composed, options);
  if (length < 0) return invalid("the text cannot be normalised: {}", utf8proc_errmsg(length));
  std::string result(reinterpret_cast<const char*>(composed), static_cast<size_t>(length));
  std::free(composed);
  return result;
}

utf8proc_int32_t code_at(std::string_view text) {
  utf8proc_int32_t code = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &code);
  return code;
}

/// The last character of a text that is not empty.
std::string_view last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xc0) == 0x80) --begin;
  return text.substr(begin);
}

bool is_space(std::string_view character) {
  const utf8proc_int32_t code = code_at(character);
  const utf8proc_category_t category = utf8proc_category(code);
  return (code >= 9 && code <= 13) || code == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

/// \w of regular expressions (Unicode TR 18, annex C), but for a few symbols that count as letters.
bool is_word(std::string_view character) {
  const utf8proc_int32_t code = code_at(character);
  const utf8proc_category_t category = utf8proc_category(code);
  const bool joins = code == 0x200c || code == 0x200d;
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) || category == UTF8PROC_CATEGORY_PC ||
         joins;
}

/// Cuts `text` at the added tokens that are looked for before (or after) normalisation.
void find_added(const std::vector<AddedToken>& added, bool normalised, std::string_view text,
                std::vector<Part>& parts) {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const auto found = std::find_if(added.begin(), added.end(), [&](const AddedToken& token) {
      return token.normalised == normalised && rest.starts_with(token.content);
    });
    if (found == added.end()) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + found->content.size();
    at = end;
    if (found->single_word && ((begin > 0 && is_word(last_character(text.substr(0, begin)))) ||
                               (end < text.size() && is_word(text.substr(end))))) {
      continue;
    }
    if (found->left_strip) {
      while (begin > done && is_space(last_character(text.substr(done, begin - done)))) {
        begin -= last_character(text.substr(done, begin - done)).size();
      }
    }
    if (found->right_strip) {
      while (end < text.size() && is_space(text.substr(end))) end += utf8_length(text.substr(end));
    }
    if (begin < done) continue;
    if (begin > done) parts.push_back({text.substr(done, begin - done)});
    parts.push_back({text.substr(begin, end - begin), found->token});
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) parts.push_back({text.substr(done)});
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<TokenizerParts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::string& path) {
  const Result<std::string> text = read_text(path, kLargestFile);
  if (!text.ok()) return text.status();
  return parse(text.value(), path);
}

Result<Tokenizer> Tokenizer::parse(std::string_view json, std::string_view source) {
  auto parts = std::make_unique<TokenizerParts>();
  FLASH_MLA_RUNTIME_TRY(parse_tokenizer(json, source, *parts));
  return Tokenizer(std::move(parts));
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view given, bool special) const {
  const std::string text = repair_utf8(given);
  std::vector<int32_t> tokens;
  if (special) tokens = parts_->before;

  const auto encode_text = [&](std::string_view piece) -> Status {
    std::vector<std::string_view> pieces = {piece}, cut;
    std::vector<std::string> spaced;  // owns the pieces that have got a space
    for (const PreTokenizer& step : parts_->cuts) {
      if (step.add_space) {
        spaced.reserve(spaced.size() + pieces.size());
        for (std::string_view& one : pieces) {
          if (!one.starts_with(' ')) one = spaced.emplace_back(" " + std::string(one));
        }
      }
      if (!step.pattern) continue;
      cut.clear();
      for (const std::string_view one : pieces) FLASH_MLA_RUNTIME_TRY(step.pattern->split(one, cut));
      std::swap(pieces, cut);
    }
    for (const std::string_view word : pieces) parts_->bpe.encode(word, tokens);
    return {};
  };

  std::vector<Part> parts, inner;
  find_added(parts_->added, false, text, parts);
  for (const Part& part : parts) {
    if (part.token >= 0) {
      tokens.push_back(part.token);
      continue;
    }
    Result<std::string> normal = parts_->nfc ? normalise(part.text) : Result<std::string>(std::string(part.text));
    if (!normal.ok()) return normal.status();
    inner.clear();
    find_added(parts_->added, true, normal.value(), inner);
    for (const Part& one : inner) {
      if (one.token >= 0) {
        tokens.push_back(one.token);
      } else {
        FLASH_MLA_RUNTIME_TRY(encode_text(one.text));
      }
    }
  }
  if (special) tokens.insert(tokens.end(), parts_->after.begin(), parts_->after.end());
  return tokens;
}

std::string_view Tokenizer::bytes_of(int32_t token) const {
  return token >= 0 && token < size() ? std::string_view(parts_->bytes[token]) : std::string_view();
}

bool Tokenizer::is_special(int32_t token) const {
  return token >= 0 && token < size() && parts_->special[token];
}

std::string Tokenizer::decode(const std::vector<int32_t>& tokens, bool skip_special) const {
  std::string bytes;
  for (const int32_t token : tokens) {
    if (!skip_special || !is_special(token)) bytes += bytes_of(token);
  }
  return repair_utf8(bytes);
}

int64_t Tokenizer::size() const {
  return static_cast<int64_t>(parts_->bytes.size());
}

}  // namespace flash_mla::runtime
