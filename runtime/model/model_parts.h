// What a model is made of: filled by the loader, used by the forward pass.
#pragma once

#include "model/model.h"

namespace flash_mla::runtime {

struct Model::Parts {
  ModelConfig config;
  Precision precision = Precision::float32;
  int threads = 0;
  Checkpoint checkpoint;  ///< keeps the embedding's bytes
  const StoredTensor* embedding = nullptr;
  const StoredTensor* positions = nullptr;  ///< GPT-2's learned ones
  std::vector<Layer> layers;
  Norm final_norm;
  Linear head;
  std::optional<AttentionShared> shared;

  std::vector<float> residual, normed, added, logits;
};

/// Reads every weight that config.json calls for. Errors: as Model::load().
Status load_parts(Model::Parts& parts, const ComputeOptions& options, int64_t page_size);

}  // namespace flash_mla::runtime
