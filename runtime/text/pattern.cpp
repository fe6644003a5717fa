#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "common/error.h"
#include "text/utf8.h"

namespace flash_mla::runtime {
namespace {

constexpr uint32_t kMostSteps = 1'000'000;
constexpr uint32_t kMostHeap = 64 << 10;  // KiB

/// PCRE2's \s has characters that Unicode does not call white space (U+180E).
std::string translate(std::string_view expression) {
  std::string translated;
  for (size_t i = 0; i < expression.size(); ++i) {
    const bool escaped = expression[i] == '\\' && i + 1 < expression.size();
    if (!escaped) {
      translated += expression[i];
      continue;
    }
    const char what = expression[++i];
    if (what == 's' || what == 'S') {
      translated += what == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
    } else {
      translated += {'\\', what};
    }
  }
  return translated;
}

std::string reason_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <class T, void (*kFree)(T*)>
struct Deleter {
  void operator()(T* object) const { kFree(object); }
};
using Code = pcre2_code;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data, pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context, pcre2_match_context_free>>;

}  // namespace

Result<Pattern> Pattern::make(std::string_view expression, bool literal) {
  const std::string text = literal ? std::string(expression) : translate(expression);
  int error = 0;
  PCRE2_SIZE place = 0;
  const uint32_t options = PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
  Code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options, &error, &place, nullptr);
  if (code == nullptr) return invalid("the expression '{}' cannot be read: {}", expression, reason_of(error));
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it, matching is slower and no less right
  return Pattern(std::shared_ptr<const void>(code, [code](const void*) { pcre2_code_free(code); }));
}

Status Pattern::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  const auto* code = static_cast<const Code*>(code_.get());
  const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMostSteps);
  pcre2_set_heap_limit(context.get(), kMostHeap);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t done = 0, from = 0;
  while (from < text.size()) {
    const int found = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, match.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) return invalid("a regular expression of the tokenizer cannot be matched: {}", reason_of(found));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    const size_t begin = range[0], end = range[1];
    if (end <= begin || begin < done) {  // an empty match cuts nothing
      from = std::max(from, begin) + std::max<size_t>(1, utf8_length(text.substr(std::max(from, begin))));
      continue;
    }
    if (begin > done) pieces.push_back(text.substr(done, begin - done));
    pieces.push_back(text.substr(begin, end - begin));
    done = from = end;
  }
  if (done < text.size()) pieces.push_back(text.substr(done));
  return {};
}

}  // namespace flash_mla::runtime
