// Log-sum-exp merge of partial attention results over disjoint sets of keys.
#pragma once

#include <span>

#include "flash_mla/export.h"
#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla {

/// One partial result, as decode() writes it.
struct PartialResult {
  ConstTensor out;  ///< [b, s_q, h_q, d_v] or ragged [total_q, h_q, d_v]
  ConstTensor lse;  ///< [b, h_q, s_q] or ragged [h_q, total_q] float32, natural log
};

/// out = sum_i exp(lse_i - lse) out_i with lse = log sum_i exp(lse_i): the attention over the union of the parts' keys
/// (split-KV, shared prefixes, context parallelism). A part with lse = -inf adds nothing, whatever its out holds; if
/// all are empty the row is empty (0, -inf). Merging one part copies it. `out` and `lse` may be one of the parts.
/// Errors: invalid_argument; nothing is written then.
FLASH_MLA_API Status merge(std::span<const PartialResult> parts, const Tensor& out, const Tensor& lse);

}  // namespace flash_mla
