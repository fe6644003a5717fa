// A decoder-only transformer over a paged KV cache.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "files/checkpoint.h"
#include "files/model_config.h"
#include "flash_mla/status.h"
#include "model/attention.h"
#include "model/feed_forward.h"
#include "model/norm.h"

namespace flash_mla::runtime {

struct Layer {
  Norm before_attention, before_feed_forward;
  std::unique_ptr<Attention> attention;
  std::unique_ptr<FeedForward> feed_forward;
};

/// Not by two threads at once; the work inside a step runs on OpenMP's threads.
class Model {
 public:
  struct Parts;

  /// Reads a Hugging Face folder's config.json and weights, and packs the weights. Errors: io_error, not_found,
  /// invalid_argument, unsupported; the message names the file and the key or weight.
  static Result<Model> load(const std::string& folder, Precision precision, const ComputeOptions& options,
                            int64_t page_size);
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  [[nodiscard]] const ModelConfig& config() const;
  [[nodiscard]] Precision precision() const;
  /// Of weights that one token's step reads: all but the embedding (experts count whole).
  [[nodiscard]] int64_t weight_bytes() const;

  /// Runs the step's tokens: logits [step.logit_tokens.size(), vocabulary], valid until the next call. Errors:
  /// those of decode() and append(); unsupported (oneDNN).
  Result<std::span<const float>> forward(const Step& step);

 private:
  explicit Model(std::unique_ptr<Parts> parts);
  Status run(const Step& step);
  std::unique_ptr<Parts> parts_;
};

}  // namespace flash_mla::runtime
