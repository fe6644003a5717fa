#include "model/model.h"

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>

#include "common/error.h"
#include "common/parallel.h"
#include "model/model_parts.h"

namespace flash_mla::runtime {

Model::Model(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Result<Model> Model::load(const std::string& folder, Precision precision, const ComputeOptions& options,
                          int64_t page_size) {
  Result<ModelConfig> config = read_model_config(folder);
  if (!config.ok()) return config.status();
  Result<Checkpoint> checkpoint = Checkpoint::open(folder);
  if (!checkpoint.ok()) return checkpoint.status();
  auto parts = std::make_unique<Parts>();
  parts->config = std::move(config).value();
  parts->checkpoint = std::move(checkpoint).value();
  parts->precision = precision;
  parts->threads = options.threads;
  const TeamSize team(options.threads);
  try {
    FLASH_MLA_RUNTIME_TRY(load_parts(*parts, options, page_size));
  } catch (const dnnl::error& error) {
    return unsupported("{}: oneDNN cannot take its weights: {}", folder, error.what());
  }
  return Model(std::move(parts));
}

const ModelConfig& Model::config() const {
  return parts_->config;
}
Precision Model::precision() const {
  return parts_->precision;
}

int64_t Model::weight_bytes() const {
  int64_t bytes = parts_->head.bytes();
  for (const Layer& layer : parts_->layers) bytes += layer.attention->bytes() + layer.feed_forward->bytes();
  return bytes;
}

Result<std::span<const float>> Model::forward(const Step& step) {
  const TeamSize team(parts_->threads);
  try {
    FLASH_MLA_RUNTIME_TRY(run(step));
  } catch (const dnnl::error& error) {
    return unsupported("oneDNN failed: {}", error.what());
  }
  return std::span<const float>(parts_->logits);
}

Status Model::run(const Step& step) {
  Parts& parts = *parts_;
  const int64_t width = parts.config.width, tokens = step.num_tokens();
  parts.residual.resize(static_cast<size_t>(tokens * width));
  parts.normed.resize(parts.residual.size());
  parts.added.resize(parts.residual.size());
  const std::span<float> row(parts.added.data(), static_cast<size_t>(width));
  for (int64_t t = 0; t < tokens; ++t) {
    float* to = parts.residual.data() + t * width;
    FLASH_MLA_RUNTIME_TRY(to_float32(*parts.embedding, "embedding", step.tokens[t] * width, {to, row.size()}));
    if (parts.positions == nullptr) continue;
    FLASH_MLA_RUNTIME_TRY(to_float32(*parts.positions, "positions", step.positions[t] * width, row));
    for (int64_t i = 0; i < width; ++i) to[i] += row[i];
  }
  parts.shared->rotary.set_positions(step.positions);
  FLASH_MLA_RUNTIME_TRY(parts.shared->paged.plan(step));

  const auto add = [&] {
    parallel_pieces(tokens * width, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) parts.residual[i] += parts.added[i];
    });
  };
  for (size_t i = 0; i < parts.layers.size(); ++i) {
    Layer& layer = parts.layers[i];
    layer.before_attention.apply(parts.residual.data(), width, tokens, parts.normed.data(), width);
    FLASH_MLA_RUNTIME_TRY(
        layer.attention->apply(step, static_cast<int64_t>(i), *parts.shared, parts.normed.data(), parts.added.data()));
    add();
    layer.before_feed_forward.apply(parts.residual.data(), width, tokens, parts.normed.data(), width);
    layer.feed_forward->apply(parts.normed.data(), tokens, parts.added.data());
    add();
  }

  const auto wanted = static_cast<int64_t>(step.logit_tokens.size());
  parts.normed.resize(std::max(parts.normed.size(), static_cast<size_t>(wanted * width)));
  for (int64_t i = 0; i < wanted; ++i) {
    parts.final_norm.apply(parts.residual.data() + step.logit_tokens[i] * width, width, 1,
                           parts.normed.data() + i * width, width);
  }
  parts.logits.resize(static_cast<size_t>(wanted * parts.config.vocabulary));
  parts.head.apply(parts.normed.data(), wanted, parts.logits.data());
  return {};
}

}  // namespace flash_mla::runtime
