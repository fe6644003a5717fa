// Models by name: the keys of their published config.json that decide what a KV cache holds.
#include <fmt/format.h>

#include "kv_cost/config.h"

namespace flash_mla::cli {
namespace {

// Keys of DeepSeek-V2 and its kin: layers, query heads, latent, rope, nope and value widths.
#define MLA(layers, heads, latent, rope, nope, value)                                                    \
  "{\"num_hidden_layers\": " #layers ", \"num_attention_heads\": " #heads ", \"kv_lora_rank\": " #latent \
  ", \"qk_rope_head_dim\": " #rope ", \"qk_nope_head_dim\": " #nope ", \"v_head_dim\": " #value "}"
#define SPARSE_MLA(layers, heads, latent, rope, nope, value, indexer)                                    \
  "{\"num_hidden_layers\": " #layers ", \"num_attention_heads\": " #heads ", \"kv_lora_rank\": " #latent \
  ", \"qk_rope_head_dim\": " #rope ", \"qk_nope_head_dim\": " #nope ", \"v_head_dim\": " #value          \
  ", \"index_head_dim\": " #indexer "}"
#define HEADS(layers, heads, kv_heads, width)                                                                     \
  "{\"num_hidden_layers\": " #layers ", \"num_attention_heads\": " #heads ", \"num_key_value_heads\": " #kv_heads \
  ", \"head_dim\": " #width "}"
#define WINDOWED(type, layers, heads, kv_heads, width, window)                                          \
  "{\"model_type\": \"" type "\", \"num_hidden_layers\": " #layers ", \"num_attention_heads\": " #heads \
  ", \"num_key_value_heads\": " #kv_heads ", \"head_dim\": " #width ", \"sliding_window\": " #window "}"

constexpr KnownModel kModels[] = {
    {"deepseek-v2-lite", MLA(27, 16, 512, 64, 128, 128)},
    {"deepseek-v2", MLA(60, 128, 512, 64, 128, 128)},
    {"deepseek-v3", MLA(61, 128, 512, 64, 128, 128)},
    {"deepseek-r1", MLA(61, 128, 512, 64, 128, 128)},
    {"deepseek-v3.2", SPARSE_MLA(61, 128, 512, 64, 128, 128, 128)},
    {"kimi-k2", MLA(61, 64, 512, 64, 128, 128)},
    {"glm-4.7-flash", MLA(47, 20, 512, 64, 192, 256)},
    {"glm-5", SPARSE_MLA(78, 64, 512, 64, 192, 256, 128)},
    {"longcat-flash", MLA(56, 64, 512, 64, 128, 128)},
    {"joyai-llm-flash", MLA(40, 32, 512, 64, 128, 128)},
    {"mistral-small-4", MLA(36, 32, 256, 64, 64, 128)},
    {"minicpm3", MLA(62, 40, 256, 32, 64, 64)},
    {"gpt2", HEADS(12, 12, 12, 64)},
    {"llama-2-7b", HEADS(32, 32, 32, 128)},
    {"llama-2-70b", HEADS(80, 64, 8, 128)},
    {"llama-3-8b", HEADS(32, 32, 8, 128)},
    {"llama-3-70b", HEADS(80, 64, 8, 128)},
    {"llama-3.1-405b", HEADS(126, 128, 8, 128)},
    {"mixtral-8x7b", HEADS(32, 32, 8, 128)},
    {"qwen2.5-7b", HEADS(28, 28, 4, 128)},
    {"qwen3-8b", HEADS(36, 32, 8, 128)},
    {"qwen3-32b", HEADS(64, 64, 8, 128)},
    {"qwen3-235b-a22b", HEADS(94, 64, 4, 128)},
    {"falcon-7b", HEADS(32, 71, 1, 64)},
    {"starcoder", HEADS(40, 48, 1, 128)},
    {"mistral-7b-v0.1", WINDOWED("mistral", 32, 32, 8, 128, 4096)},
    {"gemma-2-9b", WINDOWED("gemma2", 42, 16, 8, 256, 4096)},
    {"gemma-3-27b", WINDOWED("gemma3_text", 62, 32, 16, 128, 1024)},
};

#undef MLA
#undef SPARSE_MLA
#undef HEADS
#undef WINDOWED

}  // namespace

std::vector<KnownModel> known_models() {
  return {std::begin(kModels), std::end(kModels)};
}

Result<ModelCache> find_known_model(std::string_view name) {
  std::string names;
  for (const KnownModel& model : kModels) {
    if (name == model.name) return parse_config(model.config, model.name, model.name);
    names += fmt::format("{}{}", names.empty() ? "" : ", ", model.name);
  }
  return Status{StatusCode::not_found, fmt::format("--model is '{}': must be one of {}", name, names)};
}

}  // namespace flash_mla::cli
