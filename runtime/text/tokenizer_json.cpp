#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/error.h"
#include "text/byte_level.h"
#include "text/tokenizer_parts.h"

namespace flash_mla::runtime {
namespace {

using nlohmann::json;
using Vocabulary = std::unordered_map<std::string, int32_t>;

constexpr int64_t kMostTokens = int64_t{1} << 24;
// Of ByteLevel with use_regex: GPT-2's own.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class Reader {
 public:
  Reader(std::string_view source, TokenizerParts& parts) : source_(source), parts_(parts) {}

  Status read(const json& file) {
    if (!file.is_object()) return invalid("{}: is not a JSON object", source_);
    FLASH_MLA_RUNTIME_TRY(read_model(file));
    FLASH_MLA_RUNTIME_TRY(read_added(file));
    FLASH_MLA_RUNTIME_TRY(read_normaliser(child(file, "normalizer")));
    FLASH_MLA_RUNTIME_TRY(read_cuts(child(file, "pre_tokenizer")));
    FLASH_MLA_RUNTIME_TRY(read_template(child(file, "post_processor")));
    return read_decoder(child(file, "decoder"));
  }

 private:
  static const json& child(const json& object, const char* key) {
    static const json kNull;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() ? *found : kNull;
  }
  static std::string text_of(const json& object, const char* key) {
    const json& value = child(object, key);
    return value.is_string() ? value.get<std::string>() : "";
  }
  static bool flag_of(const json& object, const char* key, bool absent) {
    const json& value = child(object, key);
    return value.is_boolean() ? value.get<bool>() : absent;
  }
  static std::string shown(const json& value) {
    constexpr size_t kLongest = 80;
    std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
  }

  template <class... Args>
  Status bad(fmt::format_string<Args...> text, Args&&... args) {
    return invalid("{}: {}", source_, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  Status refuse(fmt::format_string<Args...> text, Args&&... args) {
    return unsupported("{}: {}", source_, fmt::format(text, std::forward<Args>(args)...));
  }

  Result<int32_t> token_of(const json& value, std::string_view what) {
    if (value.is_number_integer() && value >= 0 && value < kMostTokens) return value.get<int32_t>();
    return bad("{} is {}: must be 0 to {}", what, shown(value), kMostTokens - 1);
  }

  void set_bytes(int32_t token, std::string_view text) {
    if (parts_.bytes.size() <= static_cast<size_t>(token)) {
      parts_.bytes.resize(static_cast<size_t>(token) + 1);
      parts_.special.resize(parts_.bytes.size());
    }
    parts_.bytes[token] = byte_level_bytes(text);
  }

  Status read_model(const json& file) {
    const json& model = child(file, "model");
    const std::string type = text_of(model, "type");
    // Older files do not say.
    if (type != "BPE" && !(type.empty() && child(model, "merges").is_array())) {
      return refuse("model: type is \"{}\": only BPE is supported", type);
    }
    for (const char* key : {"dropout", "unk_token"}) {
      if (!child(model, key).is_null()) return refuse("model: {} is {}: must be null", key, shown(child(model, key)));
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!text_of(model, key).empty()) return refuse("model: {} is {}: must be empty", key, shown(child(model, key)));
    }
    if (flag_of(model, "byte_fallback", false)) return refuse("model: byte_fallback is true: is not supported");
    const json& tokens = child(model, "vocab");
    if (!tokens.is_object()) return bad("model: vocab is missing or not an object");
    for (const auto& [text, id] : tokens.items()) {
      const Result<int32_t> token = token_of(id, fmt::format("model: vocab: '{}'", text));
      if (!token.ok()) return token.status();
      vocabulary_.emplace(text, token.value());
      set_bytes(token.value(), text);
    }
    for (int byte = 0; byte < 256; ++byte) {
      const auto found = vocabulary_.find(std::string(byte_level_character(static_cast<uint8_t>(byte))));
      if (found != vocabulary_.end()) parts_.bpe.set_byte(static_cast<uint8_t>(byte), found->second);
    }
    if (flag_of(model, "ignore_merges", false)) {
      std::unordered_map<std::string, int32_t> words;
      for (const auto& [text, token] : vocabulary_) words.emplace(byte_level_bytes(text), token);
      parts_.bpe.set_whole_words(std::move(words));
    }
    return read_merges(child(model, "merges"));
  }

  Status read_merges(const json& merges) {
    if (!merges.is_array()) return bad("model: merges is missing or not a list");
    int32_t rank = 0;
    for (const json& merge : merges) {
      std::string left, right;
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get<std::string>();
        right = merge[1].get<std::string>();
      } else if (const size_t space =
                     merge.is_string() ? merge.get_ref<const std::string&>().find(' ') : std::string::npos;
                 space != std::string::npos) {
        left = merge.get_ref<const std::string&>().substr(0, space);
        right = merge.get_ref<const std::string&>().substr(space + 1);
      } else {
        return bad("model: merges: {} is not a pair of tokens", shown(merge));
      }
      const auto one = vocabulary_.find(left), two = vocabulary_.find(right), both = vocabulary_.find(left + right);
      if (one == vocabulary_.end() || two == vocabulary_.end() || both == vocabulary_.end()) {
        return bad("model: merges: {}: both tokens and what they become must be in vocab", shown(merge));
      }
      parts_.bpe.add_merge(one->second, two->second, rank++, both->second);
    }
    return {};
  }

  Status read_added(const json& file) {
    const json& list = child(file, "added_tokens");
    if (list.is_null()) return {};
    if (!list.is_array()) return bad("added_tokens is not a list");
    for (const json& one : list) {
      AddedToken added;
      added.content = text_of(one, "content");
      if (added.content.empty()) return bad("added_tokens: content of {} is missing or empty", shown(one));
      const Result<int32_t> token = token_of(child(one, "id"), fmt::format("added_tokens: id of '{}'", added.content));
      if (!token.ok()) return token.status();
      added.token = token.value();
      added.special = flag_of(one, "special", false);
      added.left_strip = flag_of(one, "lstrip", false);
      added.right_strip = flag_of(one, "rstrip", false);
      added.single_word = flag_of(one, "single_word", false);
      added.normalised = flag_of(one, "normalized", !added.special);
      set_bytes(added.token, added.content);
      parts_.special[added.token] = added.special;
      parts_.added.push_back(std::move(added));
    }
    // The longest token that begins at a place is the one that is meant.
    std::stable_sort(parts_.added.begin(), parts_.added.end(),
                     [](const AddedToken& a, const AddedToken& b) { return a.content.size() > b.content.size(); });
    return {};
  }

  Status read_normaliser(const json& normaliser) {
    if (normaliser.is_null()) return {};
    const std::string type = text_of(normaliser, "type");
    if (type == "NFC") {
      parts_.nfc = true;
      return {};
    }
    if (type != "Sequence") return refuse("normalizer: type is \"{}\": only NFC is supported", type);
    for (const json& one : child(normaliser, "normalizers")) FLASH_MLA_RUNTIME_TRY(read_normaliser(one));
    return {};
  }

  Status read_cuts(const json& cut) {
    if (cut.is_null()) return bad("pre_tokenizer is missing: must end with ByteLevel");
    FLASH_MLA_RUNTIME_TRY(read_cut(cut, 0));
    return byte_level_ ? Status()
                       : refuse("pre_tokenizer: ByteLevel is missing: only byte-level vocabularies are supported");
  }

  Status read_cut(const json& cut, int depth) {
    constexpr int kDeepest = 8;
    const std::string type = text_of(cut, "type");
    if (type == "Sequence" && depth < kDeepest) {
      for (const json& one : child(cut, "pretokenizers")) FLASH_MLA_RUNTIME_TRY(read_cut(one, depth + 1));
      return {};
    }
    if (byte_level_) return refuse("pre_tokenizer: {} after ByteLevel is not supported", type);
    if (type == "ByteLevel") {
      byte_level_ = true;
      PreTokenizer step;
      step.add_space = flag_of(cut, "add_prefix_space", true);
      if (flag_of(cut, "use_regex", true)) step.pattern = Pattern::make(kByteLevelPattern, false).value();
      parts_.cuts.push_back(std::move(step));
      return {};
    }
    if (type != "Split") return refuse("pre_tokenizer: type is \"{}\": only Split and ByteLevel are supported", type);
    if (text_of(cut, "behavior") != "Isolated" || flag_of(cut, "invert", false)) {
      return refuse("pre_tokenizer: Split with behavior {} and invert {}: only Isolated without it is supported",
                    shown(child(cut, "behavior")), shown(child(cut, "invert")));
    }
    const json& pattern = child(cut, "pattern");
    const bool literal = child(pattern, "String").is_string();
    if (!literal && !child(pattern, "Regex").is_string()) return bad("pre_tokenizer: pattern is {}", shown(pattern));
    Result<Pattern> made = Pattern::make(text_of(pattern, literal ? "String" : "Regex"), literal);
    if (!made.ok()) return bad("pre_tokenizer: {}", made.status().message());
    parts_.cuts.push_back({std::move(made).value(), false});
    return {};
  }

  Status read_template(const json& processor) {
    const std::string type = text_of(processor, "type");
    if (processor.is_null() || type == "ByteLevel") return {};
    if (type == "Sequence") {
      for (const json& one : child(processor, "processors")) FLASH_MLA_RUNTIME_TRY(read_template(one));
      return {};
    }
    if (type != "TemplateProcessing") {
      return refuse("post_processor: type is \"{}\": only ByteLevel and TemplateProcessing are supported", type);
    }
    bool text_seen = false;
    for (const json& piece : child(processor, "single")) {
      if (!child(piece, "Sequence").is_null()) {
        text_seen = true;
        continue;
      }
      const std::string name = text_of(child(piece, "SpecialToken"), "id");
      const json& ids = child(child(child(processor, "special_tokens"), name.c_str()), "ids");
      if (!ids.is_array()) return bad("post_processor: special_tokens: ids of '{}' are missing", name);
      for (const json& id : ids) {
        const Result<int32_t> token = token_of(id, fmt::format("post_processor: special_tokens: ids of '{}'", name));
        if (!token.ok()) return token.status();
        (text_seen ? parts_.after : parts_.before).push_back(token.value());
      }
    }
    return text_seen ? Status() : bad("post_processor: single has no Sequence");
  }

  Status read_decoder(const json& decoder) {
    const std::string type = text_of(decoder, "type");
    return type == "ByteLevel" ? Status() : refuse("decoder: type is \"{}\": only ByteLevel is supported", type);
  }

  std::string_view source_;
  TokenizerParts& parts_;
  Vocabulary vocabulary_;
  bool byte_level_ = false;
};

}  // namespace

Status parse_tokenizer(std::string_view text, std::string_view source, TokenizerParts& parts) {
  return Reader(source, parts).read(json::parse(text, nullptr, false));
}

}  // namespace flash_mla::runtime
