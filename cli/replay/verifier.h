// Recomputes samples of a replay in float64 and compares.
#pragma once

#include <cstdint>
#include <vector>

#include "check/compare.h"
#include "flash_mla/decode.h"
#include "flash_mla/status.h"

namespace flash_mla::cli {

/// At most this many heads of a sample are recomputed: the reference is slow, and heads differ in their queries alone.
inline constexpr int64_t kVerifiedHeads = 16;

/// Which generated tokens of a run are verified: half of them spread evenly, half evenly in the logarithm, so that a
/// run that is cut short has some too; the first token is always one. Tokens are numbered in order of generation.
class SampleChooser {
 public:
  SampleChooser(int64_t samples, int64_t total_tokens, uint64_t seed);

  /// Those with numbers in [begin, end), in order.
  [[nodiscard]] std::vector<int64_t> within(int64_t begin, int64_t end) const;
  /// The layer in which to verify one.
  [[nodiscard]] int64_t layer_of(int64_t token, int64_t layers) const;
  /// The first of the heads to verify of one.
  [[nodiscard]] int64_t first_head_of(int64_t token, int64_t heads) const;

 private:
  uint64_t seed_;
  std::vector<int64_t> tokens_;
};

/// Compares heads [first_head, first_head + kVerifiedHeads) of one sequence of a finished decode call. All data of a
/// replay is finite and no row is empty, so anything else in the reference is a miss too.
Result<Errors> verify_sample(const DecodeArgs& args, const Mask& mask, int64_t sequence, int64_t first_head);

}  // namespace flash_mla::cli
