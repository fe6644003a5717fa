// The arrays of a decode call after they have been checked, addressed by sequence, token and head.
#pragma once

#include <cstdint>

#include "core/visibility.h"
#include "flash_mla/decode.h"

namespace flash_mla::core {

inline int64_t int32_at(const ConstTensor& array, int64_t index) {
  return static_cast<const int32_t*>(array.data)[index * array.strides[0]];
}

/// Offsets are in elements.
struct Problem {
  DecodeShape shape;
  bool ragged = false;
  int64_t total_q = 0;
  int64_t num_pages = 0;
  int64_t max_pages = 0;
  double scale = 0;

  ConstTensor q, k_cache, v_cache, page_table, seqlens, cu_seqlens_q;
  Tensor out, lse;

  [[nodiscard]] int64_t group() const { return shape.h_q / shape.h_kv; }
  [[nodiscard]] int64_t s_k(int64_t sequence) const { return int32_at(seqlens, sequence); }
  [[nodiscard]] int64_t first_query(int64_t sequence) const {
    return ragged ? int32_at(cu_seqlens_q, sequence) : sequence * shape.s_q;
  }
  [[nodiscard]] int64_t s_q(int64_t sequence) const {
    return ragged ? int32_at(cu_seqlens_q, sequence + 1) - int32_at(cu_seqlens_q, sequence) : shape.s_q;
  }
  [[nodiscard]] int64_t page(int64_t sequence, int64_t column) const {
    return static_cast<const int32_t*>(
        page_table.data)[sequence * page_table.strides[0] + column * page_table.strides[1]];
  }
  /// Offset in q or out of token 0, head 0 of a sequence, and the strides from there.
  [[nodiscard]] int64_t sequence_offset(const ConstTensor& rows, int64_t sequence) const {
    return (ragged ? first_query(sequence) : sequence) * rows.strides[0];
  }
  [[nodiscard]] int64_t token_stride(const ConstTensor& rows) const { return rows.strides[ragged ? 0 : 1]; }
  [[nodiscard]] int64_t head_stride(const ConstTensor& rows) const { return rows.strides[ragged ? 1 : 2]; }
  /// The same for lse, whose heads come before its tokens.
  [[nodiscard]] int64_t lse_offset(int64_t sequence) const {
    return ragged ? first_query(sequence) * lse.strides[1] : sequence * lse.strides[0];
  }
  [[nodiscard]] int64_t lse_head_stride() const { return lse.strides[ragged ? 0 : 1]; }
  [[nodiscard]] int64_t lse_token_stride() const { return lse.strides[ragged ? 1 : 2]; }
};

Status check_mask(const Mask& mask);
Status check_shape(const DecodeShape& shape, bool ragged);

/// Checks dtypes, ranks, shapes and strides of all arrays and fills `problem`; looks at no array's contents.
/// `out` and `lse` are checked where present (`require_out`: out must be).
Status read_arrays(const DecodeArgs& args, int64_t d_v, bool require_out, Problem& problem);

/// The shape and dtype of seqlens.
Status check_seqlens(const ConstTensor& seqlens, int64_t batch);

/// Lengths are 0 or more; cu_seqlens_q (absent for a uniform batch) starts at 0, never falls, and gives no sequence
/// more than 2^31 - 1 query rows.
Status check_lengths(const ConstTensor& seqlens, const ConstTensor& cu_seqlens_q, int64_t h_q);

/// Checks the contents that address memory: lengths, cu_seqlens_q and the live entries of the page table.
Status check_contents(const Problem& problem, const Mask& mask);

}  // namespace flash_mla::core
