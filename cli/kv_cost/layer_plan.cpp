#include <fmt/format.h>

#include <algorithm>

#include "kv_cost/config.h"

namespace flash_mla::cli {
namespace {

constexpr int64_t kLongestWindow = int64_t{1} << 30;
constexpr int64_t kGemma3Pattern = 6;  // its default: five windows, then a full layer

LayerPlan no_cache(const std::string& name) {
  return {LayerPlan::Kind::none, name, 0, 0};
}

Result<LayerPlan> windowed(const Config& config, const char* name, std::initializer_list<const char*> keys) {
  const Result<int64_t> window = config.number(keys, kLongestWindow);
  if (!window.ok()) return window.status();
  return LayerPlan{LayerPlan::Kind::attention, name, window.value(), 0};
}

Result<LayerPlan> plan_of_type(const Config& config, const char* key, const nlohmann::json& type) {
  const std::string name = type.is_string() ? type.get<std::string>() : type.dump();
  if (name == "full_attention" || name == "attention" || name == "hybrid" || name == "global") return LayerPlan{};
  if (name == "sliding_attention" || name == "local") return windowed(config, "sliding window", {"sliding_window"});
  if (name == "chunked_attention") return windowed(config, "chunk", {"attention_chunk_size"});
  if (name == "linear_attention" || name == "mamba" || name == "mamba2" || name == "recurrent" || name == "conv") {
    return no_cache(name);
  }
  return config.error(fmt::format(
      "{} holds '{}': must be full_attention, sliding_attention, chunked_attention, linear_attention, attention, "
      "hybrid, global, local, mamba, mamba2, recurrent or conv",
      key, name));
}

Result<std::vector<LayerPlan>> plan_listed(const Config& config, const char* key, int64_t layers) {
  const nlohmann::json& types = *config.find({key});
  if (!types.is_array() || static_cast<int64_t>(types.size()) != layers) {
    return config.error(fmt::format("{} must be an array of {} names, one a layer", key, layers));
  }
  std::vector<LayerPlan> plans;
  for (const nlohmann::json& type : types) {
    Result<LayerPlan> plan = plan_of_type(config, key, type);
    if (!plan.ok()) return plan.status();
    plans.push_back(std::move(plan).value());
  }
  return plans;
}

/// Nemotron-H: "M-M*-": mamba, feed-forward and attention.
Result<std::vector<LayerPlan>> plan_pattern(const Config& config) {
  std::vector<LayerPlan> plans;
  for (const char c : config.text("hybrid_override_pattern")) {
    if (c != 'M' && c != '-' && c != '*' && c != 'E') {
      return config.error(fmt::format("hybrid_override_pattern holds '{}': must be of M, -, E and *", c));
    }
    plans.push_back(c == '*' ? LayerPlan{} : no_cache(c == 'M' ? "mamba" : "feed-forward"));
  }
  return plans;
}

/// Kimi Linear: the layers, from 1, that have attention.
Result<std::vector<LayerPlan>> plan_linear(const Config& config, int64_t layers) {
  const nlohmann::json& linear = *config.find({"linear_attn_config"});
  const auto full = linear.is_object() ? linear.find("full_attn_layers") : linear.end();
  if (!linear.is_object() || full == linear.end() || !full->is_array()) {
    return config.error("linear_attn_config must hold the array full_attn_layers");
  }
  std::vector<LayerPlan> plans(static_cast<size_t>(layers), no_cache("linear_attention"));
  for (const nlohmann::json& layer : *full) {
    if (!layer.is_number_integer() || layer < 1 || layer > layers) {
      return config.error(fmt::format("full_attn_layers holds {}: must be 1 to {}", layer.dump(), layers));
    }
    plans[layer.get<size_t>() - 1] = LayerPlan{};
  }
  return plans;
}

/// Llama 4: 1 is a layer with rope, whose attention is chunked; 0 one without, whose attention is full.
Result<std::vector<LayerPlan>> plan_chunks(const Config& config, int64_t layers) {
  const nlohmann::json& rope = *config.find({"no_rope_layers"});
  Result<LayerPlan> chunk = windowed(config, "chunk", {"attention_chunk_size"});
  if (!chunk.ok()) return chunk.status();
  std::vector<LayerPlan> plans(static_cast<size_t>(layers), chunk.value());
  if (!rope.is_array() || (!rope.empty() && static_cast<int64_t>(rope.size()) != layers)) {
    return config.error(fmt::format("no_rope_layers must be an array of {} zeros and ones", layers));
  }
  constexpr size_t kDefaultInterval = 4;  // an empty list means that every fourth layer is without rope
  for (size_t i = 0; i < plans.size(); ++i) {
    if (rope.empty() ? (i + 1) % kDefaultInterval == 0 : rope[i] == 0) plans[i] = LayerPlan{};
  }
  return plans;
}

/// Layers i with i % period == offset are of one kind, the others of another.
std::vector<LayerPlan> every(int64_t layers, int64_t period, int64_t offset, const LayerPlan& hit,
                             const LayerPlan& other) {
  std::vector<LayerPlan> plans;
  for (int64_t i = 0; i < layers; ++i) plans.push_back(i % period == offset ? hit : other);
  return plans;
}

/// A sliding_window without layer_types.
Result<std::vector<LayerPlan>> plan_windows(const Config& config, int64_t layers) {
  const std::string type = config.text("model_type");
  if (!config.has("sliding_window") || !config.flag("use_sliding_window", true)) {
    return std::vector<LayerPlan>(static_cast<size_t>(layers));
  }
  const Result<LayerPlan> window = windowed(config, "sliding window", {"sliding_window"});
  if (!window.ok()) return window.status();
  const bool gemma3 = type == "gemma3_text" || type == "gemma3";
  if (gemma3 || config.has("sliding_window_pattern")) {
    const Result<int64_t> pattern =
        config.number_or({"sliding_window_pattern", "_sliding_window_pattern"}, kGemma3Pattern);
    if (!pattern.ok()) return pattern.status();
    return every(layers, pattern.value(), pattern.value() - 1, LayerPlan{}, window.value());
  }
  if (type == "gemma2") return every(layers, 2, 0, window.value(), LayerPlan{});
  // Qwen 2 and 3: the first max_window_layers are full.
  const bool qwen = type.rfind("qwen", 0) == 0;
  int64_t full = 0;
  if (const nlohmann::json* first = config.find({"max_window_layers"}); qwen && first != nullptr) {
    if (!first->is_number_integer() || *first < 0) {
      return config.error(fmt::format("max_window_layers is {}: must be an integer of 0 or more", first->dump()));
    }
    full = std::min(layers, first->get<int64_t>());
  }
  std::vector<LayerPlan> plans(static_cast<size_t>(layers), window.value());
  std::fill_n(plans.begin(), full, LayerPlan{});
  return plans;
}

}  // namespace

Result<std::vector<LayerPlan>> plan_layers(const Config& config) {
  if (config.has("hybrid_override_pattern")) return plan_pattern(config);
  const Result<int64_t> counted = config.number({"num_hidden_layers", "n_layer", "num_layers", "n_layers"});
  if (!counted.ok()) return counted.status();
  int64_t layers = counted.value();
  // LongCat's layers hold two attentions each; its num_layers counts them once.
  if (config.text("model_type") == "longcat_flash" && !config.has("num_hidden_layers")) layers *= 2;
  if (config.has("layer_types")) return plan_listed(config, "layer_types", layers);
  if (config.has("layers_block_type")) return plan_listed(config, "layers_block_type", layers);
  if (config.has("linear_attn_config")) return plan_linear(config, layers);
  if (config.has("no_rope_layers") && config.has("attention_chunk_size")) return plan_chunks(config, layers);
  if (config.has("full_attention_interval")) {
    const Result<int64_t> interval = config.number({"full_attention_interval"});
    if (!interval.ok()) return interval.status();
    return every(layers, interval.value(), interval.value() - 1, LayerPlan{}, no_cache("linear_attention"));
  }
  if (config.has("attn_layer_period")) {
    const Result<int64_t> period = config.number({"attn_layer_period"});
    if (!period.ok()) return period.status();
    const nlohmann::json* offset = config.find({"attn_layer_offset"});
    if (offset != nullptr && (!offset->is_number_integer() || *offset < 0 || *offset >= period.value())) {
      return config.error(fmt::format("attn_layer_offset is {}: must be 0 to {}", offset->dump(), period.value() - 1));
    }
    return every(layers, period.value(), offset == nullptr ? 0 : offset->get<int64_t>(), LayerPlan{},
                 no_cache("mamba"));
  }
  return plan_windows(config, layers);
}

}  // namespace flash_mla::cli
