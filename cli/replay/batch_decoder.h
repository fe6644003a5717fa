// One step's attention: plans for the lengths of the moment, then decodes layer by layer with that plan.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flash_mla/decode.h"
#include "flash_mla/kv_cache.h"
#include "flash_mla/plan.h"
#include "flash_mla/status.h"
#include "replay/model.h"
#include "replay/random_rows.h"

namespace flash_mla::cli {

class BatchDecoder {
 public:
  BatchDecoder(const ModelGeometry& model, const Mask& mask, int64_t max_batch, std::string backend, int threads,
               uint64_t seed);

  /// Plans for rows 0 to `rows` - 1 of the cache's page table. Unused ones among them have length 0.
  Status plan(const KvCache& cache, int64_t rows);
  /// Decodes one layer of the planned batch; every step and layer has queries of its own.
  Status decode(const KvCache& cache, const Tensor& k_cache, int64_t step, int64_t layer);

  /// The arrays of the last decode(), all rows.
  [[nodiscard]] const DecodeArgs& args() const { return args_; }
  [[nodiscard]] const Plan* last_plan() const { return plan_ ? &*plan_ : nullptr; }

 private:
  ModelGeometry model_;
  Mask mask_;
  std::string backend_;
  int threads_;
  uint64_t seed_;
  RandomRows queries_;  ///< rows are heads
  std::vector<uint16_t> out_;
  std::vector<float> lse_;
  std::vector<std::byte> workspace_;
  std::optional<Plan> plan_;
  int64_t rows_ = 0;
  DecodeArgs args_;
};

}  // namespace flash_mla::cli
