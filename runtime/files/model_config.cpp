#include "files/model_config.h"

#include <array>
#include <cmath>
#include <filesystem>

#include "common/error.h"
#include "files/rotary_config.h"
#include "files/settings.h"

namespace flash_mla::runtime {
namespace {

struct NamedArchitecture {
  std::string_view model_type;
  Architecture architecture;
};
constexpr std::array kArchitectures = {NamedArchitecture{"deepseek_v2", Architecture::deepseek_v2},
                                       NamedArchitecture{"deepseek_v3", Architecture::deepseek_v3},
                                       NamedArchitecture{"llama", Architecture::llama},
                                       NamedArchitecture{"qwen2", Architecture::qwen2},
                                       NamedArchitecture{"qwen3", Architecture::qwen3},
                                       NamedArchitecture{"gpt2", Architecture::gpt2}};

constexpr int64_t kMostTokens = int64_t{1} << 24;

std::vector<int32_t> read_end_tokens(Settings& config) {
  const nlohmann::json* value = config.find("eos_token_id");
  if (value == nullptr) return {};
  std::vector<int32_t> tokens;
  const nlohmann::json list = value->is_array() ? *value : nlohmann::json::array({*value});
  for (const nlohmann::json& token : list) {
    if (!token.is_number_integer() || token < 0 || token > kMostTokens) {
      config.fail(fmt::format("eos_token_id is {}: must be token ids", value->dump()));
      return {};
    }
    tokens.push_back(token.get<int32_t>());
  }
  return tokens;
}

void read_experts(Settings& config, ModelConfig& model) {
  if (!config.has("n_routed_experts")) return;
  ExpertsConfig experts;
  experts.routed = config.count("n_routed_experts");
  experts.first_layer = config.count_or("first_k_dense_replace", 0, 0);
  experts.shared = config.count_or("n_shared_experts", 0, 0);
  experts.width = config.count("moe_intermediate_size");
  experts.per_token = config.count("num_experts_per_tok", 1, experts.routed);
  experts.normalise = config.flag("norm_topk_prob", false);
  experts.scale = config.positive_or("routed_scaling_factor", 1);
  if (config.count_or("moe_layer_freq", 1) != 1) config.fail("moe_layer_freq is not 1: only that is supported");
  if (model.architecture == Architecture::deepseek_v3) {
    experts.router = ExpertsConfig::Router::sigmoid_groups;
  } else {
    const std::string method = config.text("topk_method", "greedy");
    if (method == "group_limited_greedy") {
      experts.router = ExpertsConfig::Router::softmax_groups;
    } else if (method != "greedy") {
      config.fail(fmt::format("topk_method is \"{}\": must be greedy or group_limited_greedy", method));
    }
    if (experts.normalise) config.fail("norm_topk_prob is true: is supported for deepseek_v3 only");
  }
  if (experts.router != ExpertsConfig::Router::softmax) {
    experts.groups = config.count("n_group", 1, experts.routed);
    experts.groups_per_token = config.count("topk_group", 1, experts.groups);
    const int64_t group = experts.routed / experts.groups;
    const int64_t least = experts.router == ExpertsConfig::Router::sigmoid_groups ? 2 : 1;
    if (experts.routed % experts.groups != 0 || group < least || group * experts.groups_per_token < experts.per_token) {
      config.fail(fmt::format("n_group is {} and topk_group {}: {} experts cannot be chosen from such groups of {}",
                              experts.groups, experts.groups_per_token, experts.per_token, experts.routed));
    }
  }
  model.experts = experts;
}

void read_deepseek(Settings& config, ModelConfig& model) {
  LatentConfig latent;
  latent.query_rank = config.count_or("q_lora_rank", 0);
  latent.rank = config.count("kv_lora_rank", 1, 1024);
  latent.nope = config.count("qk_nope_head_dim", 1, 1024);
  latent.rope = config.count("qk_rope_head_dim", 2, 1024);
  latent.value = config.count("v_head_dim", 1, 1024);
  if (latent.rank + latent.rope > 1024) config.fail("kv_lora_rank + qk_rope_head_dim are more than 1024");
  if (latent.nope + latent.rope > 1024) config.fail("qk_nope_head_dim + qk_rope_head_dim are more than 1024");
  if (latent.rope % 2 != 0) config.fail("qk_rope_head_dim is odd");
  const RotarySettings rotary = read_rotary(config, latent.rope, model.positions);
  model.rotary = rotary.rotary;
  model.rotary.interleaved = model.architecture == Architecture::deepseek_v2 || config.flag("rope_interleave", true);
  model.attention_scale = rotary.score_factor / std::sqrt(static_cast<double>(latent.nope + latent.rope));
  model.latent = latent;
  model.output_bias = model.attention_bias;
  model.kv_heads = 1;
  read_experts(config, model);
}

void read_windows(Settings& config, ModelConfig& model) {
  if (!config.has("sliding_window") || !config.flag("use_sliding_window", false)) return;
  const int64_t window = config.count("sliding_window");
  const int64_t first = config.count_or("max_window_layers", 0, 0);
  const nlohmann::json* types = config.find("layer_types");
  if (types != nullptr && (!types->is_array() || static_cast<int64_t>(types->size()) != model.layers)) {
    config.fail(fmt::format("layer_types does not list {} layers", model.layers));
    return;
  }
  for (int64_t i = 0; i < model.layers; ++i) {
    const bool windowed = types == nullptr ? i >= first : (*types)[i] == "sliding_attention";
    model.windows[i] = windowed ? window : 0;
  }
}

void read_llama_like(Settings& config, ModelConfig& model) {
  model.kv_heads = config.count_or("num_key_value_heads", model.heads);
  model.head_width = config.count_or("head_dim", model.width / model.heads, 2, 1024);
  if (model.heads % model.kv_heads != 0) {
    config.fail(
        fmt::format("num_key_value_heads is {}: must divide num_attention_heads, {}", model.kv_heads, model.heads));
  }
  if (model.head_width < 2 || model.head_width % 2 != 0) config.fail("head_dim is not even");
  model.rotary = read_rotary(config, model.head_width, model.positions).rotary;
  model.attention_scale = 1 / std::sqrt(static_cast<double>(model.head_width));
  model.output_bias = model.attention_bias;
  if (model.architecture == Architecture::qwen2) {
    model.attention_bias = true;
    model.output_bias = false;
  }
  model.head_norm = model.architecture == Architecture::qwen3;
  if (model.architecture != Architecture::llama) read_windows(config, model);
}

void read_gpt2(Settings& config, ModelConfig& model) {
  model.kv_heads = model.heads;
  model.head_width = model.width / model.heads;
  if (model.width % model.heads != 0 || model.head_width > 1024)
    config.fail("n_head does not divide n_embd, or is too small");
  model.attention_bias = model.output_bias = model.mlp_bias = true;
  model.attention_scale = 1 / std::sqrt(static_cast<double>(model.head_width));
  if (config.text("activation_function", "gelu_new") != "gelu_new") {
    config.fail("activation_function: only gelu_new is supported");
  }
  for (const char* key : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (config.flag(key, false)) config.fail(fmt::format("{} is true: is not supported", key));
  }
  if (!config.flag("scale_attn_weights", true)) config.fail("scale_attn_weights is false: is not supported");
}

Result<Architecture> find_architecture(Settings& config) {
  const std::string type = config.text("model_type", "");
  std::string known;
  for (const NamedArchitecture& one : kArchitectures) {
    if (one.model_type == type) return one.architecture;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", one.model_type);
  }
  return unsupported("{}: model_type is \"{}\": must be one of {}", config.source(), type, known);
}

}  // namespace

int64_t ModelConfig::cached_width() const {
  return latent ? latent->rank + latent->rope : 2 * kv_heads * head_width;
}

int64_t ModelConfig::expanded_width() const {
  return latent ? heads * (latent->nope + latent->rope + latent->value) : 2 * heads * head_width;
}

Result<ModelConfig> read_model_config(const std::string& folder) {
  Result<Settings> read = Settings::read((std::filesystem::path(folder) / "config.json").string());
  if (!read.ok()) return read.status();
  Settings& config = read.value();
  const Result<Architecture> architecture = find_architecture(config);
  if (!architecture.ok()) return architecture.status();
  if (config.has("quantization_config")) {
    return unsupported("{}: quantization_config: quantised weights cannot be read", config.source());
  }
  ModelConfig model;
  model.architecture = architecture.value();
  const bool gpt2 = model.architecture == Architecture::gpt2;
  model.stored_type = config.text("dtype", config.text("torch_dtype", ""));
  model.vocabulary = config.count("vocab_size", 1, kMostTokens);
  model.width = config.count(gpt2 ? "n_embd" : "hidden_size");
  model.layers = config.count(gpt2 ? "n_layer" : "num_hidden_layers", 1, 10000);
  model.heads = config.count(gpt2 ? "n_head" : "num_attention_heads");
  model.positions = config.count(gpt2 ? "n_positions" : "max_position_embeddings", 1, kMostTokens);
  model.feed_forward = gpt2 ? config.count_or("n_inner", 4 * model.width) : config.count("intermediate_size");
  model.norm_epsilon = config.positive_or(gpt2 ? "layer_norm_epsilon" : "rms_norm_eps", gpt2 ? 1e-5 : 1e-6);
  model.tied = config.flag("tie_word_embeddings", gpt2);
  model.attention_bias = config.flag("attention_bias", false);
  model.mlp_bias = config.flag("mlp_bias", false);
  model.windows.assign(static_cast<size_t>(model.layers), 0);
  model.end_tokens = read_end_tokens(config);
  if (!gpt2 && config.text("hidden_act", "silu") != "silu") config.fail("hidden_act: only silu is supported");
  if (!config.status().ok()) return config.status();
  switch (model.architecture) {
    case Architecture::deepseek_v2:
    case Architecture::deepseek_v3:
      read_deepseek(config, model);
      break;
    case Architecture::gpt2:
      read_gpt2(config, model);
      break;
    default:
      read_llama_like(config, model);
  }
  if (!config.status().ok()) return config.status();
  return model;
}

Result<GenerationConfig> read_generation_config(const std::string& folder, const ModelConfig& model) {
  GenerationConfig generation;
  generation.end_tokens = model.end_tokens;
  const std::string path = (std::filesystem::path(folder) / "generation_config.json").string();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return generation;
  Result<Settings> read = Settings::read(path);
  if (!read.ok()) return read.status();
  Settings& config = read.value();
  if (config.has("eos_token_id")) generation.end_tokens = read_end_tokens(config);
  generation.sample = config.flag("do_sample", false);
  generation.temperature = config.positive_or("temperature", 1);
  generation.top_k = config.count_or("top_k", 0, 0, kMostTokens);
  generation.top_p = config.positive_or("top_p", 1);
  if (!config.status().ok()) return config.status();
  return generation;
}

}  // namespace flash_mla::runtime
