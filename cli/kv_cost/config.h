// From a Hugging Face config.json to what its KV cache holds.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "flash_mla/status.h"
#include "kv_cost/cost.h"

namespace flash_mla::cli {

/// A config's object, with messages that name the file and the key. Keys are looked up under any of their names; null
/// is as absent.
class Config {
 public:
  /// Of layers, heads and widths: their product with 4 bytes stays far from 2^63.
  static constexpr int64_t kMost = 1 << 17;

  Config(std::string_view source, const nlohmann::json& object) : source_(source), object_(object) {}

  [[nodiscard]] const nlohmann::json* find(std::initializer_list<const char*> names) const;
  [[nodiscard]] bool has(const char* name) const { return find({name}) != nullptr; }
  /// An integer of 1 to `most`. Errors: invalid_argument.
  [[nodiscard]] Result<int64_t> number(std::initializer_list<const char*> names, int64_t most = kMost) const;
  /// The same, or `absent` where there is none of the names.
  [[nodiscard]] Result<int64_t> number_or(std::initializer_list<const char*> names, int64_t absent) const;
  [[nodiscard]] bool flag(const char* name, bool absent) const;
  [[nodiscard]] std::string text(const char* name) const;
  [[nodiscard]] Status error(std::string_view message) const;

 private:
  std::string_view source_;
  const nlohmann::json& object_;
};

/// One layer's part in the cache, before widths.
struct LayerPlan {
  enum class Kind { attention, none };
  Kind kind = Kind::attention;
  std::string name = "full attention";
  int64_t window = 0;
  int64_t kv_heads = 0;  ///< 0: that of the whole model
};

/// Which layers cache what: layer_types and its older relatives. Errors: invalid_argument.
Result<std::vector<LayerPlan>> plan_layers(const Config& config);

/// `name` is what reports call the model, `source` what errors name. Configs nested in text_config (or llm_config,
/// language_config) are found. Errors: invalid_argument; the message names the key, its value and what is allowed.
Result<ModelCache> parse_config(std::string_view text, std::string_view source, std::string_view name);
/// Errors: io_error, and those of parse_config().
Result<ModelCache> read_config(const std::string& path);

struct KnownModel {
  const char* name;
  const char* config;  ///< the keys of its config.json that matter here
};

std::vector<KnownModel> known_models();
/// Errors: not_found; the message lists the names.
Result<ModelCache> find_known_model(std::string_view name);

}  // namespace flash_mla::cli
