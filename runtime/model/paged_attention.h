// flash_mla::decode() for a model's layers: plans once a step, then runs a layer at a time.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "files/model_config.h"
#include "flash_mla/decode.h"
#include "flash_mla/plan.h"
#include "flash_mla/status.h"
#include "model/precision.h"
#include "model/step.h"

namespace flash_mla::runtime {

/// Which kernel runs, and on how many threads.
struct ComputeOptions {
  std::string backend;  ///< empty: the best usable one
  int threads = 0;      ///< 0: default_num_workers()
};

/// Attention over a model's cache as it is: MLA's latent, or keys and values.
DecodeShape cached_shape(const ModelConfig& config, Precision precision, int64_t page_size);

class PagedAttention {
 public:
  /// `shape` needs no batch and no s_q: query rows are ragged. `windows` are those of the model's layers.
  PagedAttention(const DecodeShape& shape, double scale, std::vector<int64_t> windows, ComputeOptions options)
      : shape_(shape), scale_(scale), windows_(std::move(windows)), options_(std::move(options)) {}

  /// Plans for the step's segments that are not expanded.
  Status plan(const Step& step);
  /// Plans one sequence whose keys lie one after another in a single page: for expanded attention.
  Status plan_contiguous(int64_t queries, int64_t keys);
  [[nodiscard]] int64_t num_queries() const { return cu_seqlens_.empty() ? 0 : cu_seqlens_.back(); }
  [[nodiscard]] const DecodeShape& shape() const { return shape_; }

  /// q [num_queries, h_q, d] in the cache's type, out [num_queries, h_q, d_v] float32.
  Status decode(const void* q, const Tensor& keys, const Tensor& values, int64_t window, float* out);

 private:
  Status remake(std::span<const int32_t> seqlens);

  DecodeShape shape_;
  double scale_;
  std::vector<int64_t> windows_;
  ComputeOptions options_;
  std::map<int64_t, Plan> plans_;  ///< by window
  std::vector<int32_t> cu_seqlens_;
  std::vector<std::byte> workspace_;
  std::vector<int32_t> own_seqlens_, own_table_;
  ConstTensor page_table_, seqlens_;
};

}  // namespace flash_mla::runtime
