#include <algorithm>
#include <set>

#include "common/error.h"
#include "model/experts.h"
#include "model/head_attention.h"
#include "model/latent_attention.h"
#include "model/model_parts.h"
#include "model/weight_reader.h"

namespace flash_mla::runtime {
namespace {

constexpr double kLatentNormEpsilon = 1e-6;  // DeepSeek's code leaves it at its default, whatever config.json says

std::unique_ptr<Attention> load_latent(WeightReader& read, const ModelConfig& config, Precision precision,
                                       const std::string& name) {
  const LatentConfig& latent = *config.latent;
  const int64_t head = latent.nope + latent.rope, pair = latent.nope + latent.value;
  LatentWeights weights;
  if (latent.query_rank > 0) {
    weights.query_down = read.linear(name + "q_a_proj", config.width, latent.query_rank, config.attention_bias);
    weights.query_norm = read.norm(name + "q_a_layernorm", latent.query_rank, kLatentNormEpsilon, false);
    weights.query_up = read.linear(name + "q_b_proj", latent.query_rank, config.heads * head, false);
  } else {
    weights.query_up = read.linear(name + "q_proj", config.width, config.heads * head, false);
  }
  weights.latent =
      read.linear(name + "kv_a_proj_with_mqa", config.width, latent.rank + latent.rope, config.attention_bias);
  weights.latent_norm = read.norm(name + "kv_a_layernorm", latent.rank, kLatentNormEpsilon, false);
  weights.expand = read.linear(name + "kv_b_proj", latent.rank, config.heads * pair, false);
  const std::vector<float> expand = read.vector(name + "kv_b_proj.weight", {config.heads * pair, latent.rank});
  const std::span<const float> all(expand);
  weights.absorb_keys = read.pack(config.heads, latent.nope, latent.rank, {pair * latent.rank, latent.rank, 1}, all);
  weights.absorb_values = read.pack(config.heads, latent.rank, latent.value, {pair * latent.rank, 1, latent.rank},
                                    all.empty() ? all : all.subspan(static_cast<size_t>(latent.nope * latent.rank)));
  weights.output = read.linear(name + "o_proj", config.heads * latent.value, config.width, config.output_bias);
  return std::make_unique<LatentAttention>(latent, config.heads, precision, std::move(weights));
}

std::unique_ptr<Attention> load_heads(WeightReader& read, const ModelConfig& config, int64_t window,
                                      Precision precision, const std::string& name) {
  HeadWeights weights;
  const int64_t own = config.heads * config.head_width, shared = config.kv_heads * config.head_width;
  weights.query = read.linear(name + "q_proj", config.width, own, config.attention_bias);
  weights.key = read.linear(name + "k_proj", config.width, shared, config.attention_bias);
  weights.value = read.linear(name + "v_proj", config.width, shared, config.attention_bias);
  weights.output = read.linear(name + "o_proj", own, config.width, config.output_bias);
  if (config.head_norm) {
    weights.query_norm = read.norm(name + "q_norm", config.head_width, config.norm_epsilon, false);
    weights.key_norm = read.norm(name + "k_norm", config.head_width, config.norm_epsilon, false);
  }
  return std::make_unique<HeadAttention>(config, window, true, precision, std::move(weights));
}

std::unique_ptr<GatedFeedForward> load_gated(WeightReader& read, const std::string& name, int64_t width, int64_t inner,
                                             bool bias) {
  return std::make_unique<GatedFeedForward>(read.linear(name + "gate_proj", width, inner, bias),
                                            read.linear(name + "up_proj", width, inner, bias),
                                            read.linear(name + "down_proj", inner, width, bias));
}

std::unique_ptr<FeedForward> load_experts(WeightReader& read, const ModelConfig& config, const std::string& name) {
  const ExpertsConfig& experts = *config.experts;
  const bool biased = experts.router == ExpertsConfig::Router::sigmoid_groups;
  Router router(experts, read.vector(name + "gate.weight", {experts.routed, config.width}),
                biased ? read.vector(name + "gate.e_score_correction_bias", {experts.routed}) : std::vector<float>());
  std::vector<std::unique_ptr<GatedFeedForward>> routed;
  for (int64_t i = 0; i < experts.routed && read.status().ok(); ++i) {
    routed.push_back(load_gated(read, fmt::format("{}experts.{}.", name, i), config.width, experts.width, false));
  }
  std::unique_ptr<GatedFeedForward> shared;
  if (experts.shared > 0) {
    shared = load_gated(read, name + "shared_experts.", config.width, experts.shared * experts.width, false);
  }
  return std::make_unique<ExpertsFeedForward>(config.width, experts.per_token, std::move(router), std::move(routed),
                                              std::move(shared));
}

Layer load_layer(WeightReader& read, const ModelConfig& config, Precision precision, int64_t index) {
  const std::string name = fmt::format("model.layers.{}.", index);
  Layer layer;
  layer.before_attention = read.norm(name + "input_layernorm", config.width, config.norm_epsilon, false);
  layer.before_feed_forward = read.norm(name + "post_attention_layernorm", config.width, config.norm_epsilon, false);
  layer.attention = config.latent ? load_latent(read, config, precision, name + "self_attn.")
                                  : load_heads(read, config, config.windows[index], precision, name + "self_attn.");
  if (config.experts && index >= config.experts->first_layer) {
    layer.feed_forward = load_experts(read, config, name + "mlp.");
  } else {
    layer.feed_forward = load_gated(read, name + "mlp.", config.width, config.feed_forward, config.mlp_bias);
  }
  return layer;
}

Layer load_gpt2_layer(WeightReader& read, const ModelConfig& config, Precision precision, const std::string& name) {
  Layer layer;
  const int64_t width = config.width;
  layer.before_attention = read.norm(name + "ln_1", width, config.norm_epsilon, true);
  layer.before_feed_forward = read.norm(name + "ln_2", width, config.norm_epsilon, true);
  HeadWeights weights;
  weights.query = read.columns(name + "attn.c_attn", width, 3 * width, 0, width);
  weights.key = read.columns(name + "attn.c_attn", width, 3 * width, width, width);
  weights.value = read.columns(name + "attn.c_attn", width, 3 * width, 2 * width, width);
  weights.output = read.columns(name + "attn.c_proj", width, width, 0, width);
  layer.attention = std::make_unique<HeadAttention>(config, 0, false, precision, std::move(weights));
  layer.feed_forward = std::make_unique<GeluFeedForward>(
      read.columns(name + "mlp.c_fc", width, config.feed_forward, 0, config.feed_forward),
      read.columns(name + "mlp.c_proj", config.feed_forward, width, 0, width));
  return layer;
}

/// Hugging Face's GPT-2 files name their weights with and without the model's name before them.
std::string gpt2_prefix(const Checkpoint& checkpoint) {
  return checkpoint.find("transformer.wte.weight") != nullptr ? "transformer." : "";
}

AttentionShared make_shared_attention(const ModelConfig& config, Precision precision, const ComputeOptions& options,
                                      int64_t page_size) {
  const DecodeShape shape = cached_shape(config, precision, page_size);
  DecodeShape expanded = shape;
  if (config.latent) {
    expanded.h_kv = config.heads;
    expanded.separate_v = true;
    expanded.d = config.latent->nope + config.latent->rope;
    expanded.d_v = config.latent->value;
  }
  const std::set<int64_t> distinct(config.windows.begin(), config.windows.end());
  const std::vector<int64_t> windows(distinct.begin(), distinct.end());
  return {Rotary(config.rotary), PagedAttention(shape, config.attention_scale, windows, options),
          PagedAttention(expanded, config.attention_scale, {0}, options)};
}

}  // namespace

Status load_parts(Model::Parts& parts, const ComputeOptions& options, int64_t page_size) {
  const ModelConfig& config = parts.config;
  const bool gpt2 = config.architecture == Architecture::gpt2;
  const std::string prefix = gpt2 ? gpt2_prefix(parts.checkpoint) : "model.";
  WeightReader read(parts.checkpoint, parts.precision);
  const std::string embedding = prefix + (gpt2 ? "wte" : "embed_tokens");
  parts.embedding = read.stored(embedding + ".weight", {config.vocabulary, config.width});
  if (gpt2) parts.positions = read.stored(prefix + "wpe.weight", {config.positions, config.width});
  for (int64_t i = 0; i < config.layers && read.status().ok(); ++i) {
    parts.layers.push_back(gpt2 ? load_gpt2_layer(read, config, parts.precision, fmt::format("{}h.{}.", prefix, i))
                                : load_layer(read, config, parts.precision, i));
  }
  parts.final_norm = read.norm(prefix + (gpt2 ? "ln_f" : "norm"), config.width, config.norm_epsilon, gpt2);
  parts.head = read.linear(config.tied ? embedding : "lm_head", config.width, config.vocabulary, false);
  if (!read.status().ok()) return read.status();
  parts.shared.emplace(make_shared_attention(config, parts.precision, options, page_size));
  return {};
}

}  // namespace flash_mla::runtime
