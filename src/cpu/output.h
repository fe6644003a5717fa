// Results: normalised rows in the caller's dtype, their lse, and the merge of a split's partial results.
#pragma once

#include "cpu/isa/common.h"
#include "cpu/kernel.h"
#include "cpu/panel.h"

namespace flash_mla::cpu {
namespace {

FLASH_MLA_INLINE int element_size(Element element) {
  return element == Element::float32 ? 4 : 2;
}

template <class M>
FLASH_MLA_INLINE void store_as(Element element, void* row, int64_t column, typename M::Vec x) {
  if (element == Element::bfloat16) {
    M::to_bfloat16(static_cast<uint16_t*>(row) + column, x);
  } else if (element == Element::float16) {
    M::to_float16(static_cast<uint16_t*>(row) + column, x);
  } else {
    M::store(static_cast<float*>(row) + column, x);
  }
}

/// Where row r of a KV head's group goes.
FLASH_MLA_INLINE char* out_row(const OutRows& out, int64_t group, int64_t row) {
  return static_cast<char*>(out.data) +
         (row / group * out.token_stride + row % group * out.head_stride) * element_size(out.element);
}
FLASH_MLA_INLINE void write_lse(const LseRows& lse, int64_t group, int64_t row, float value) {
  if (lse.data != nullptr) lse.data[row / group * lse.token_stride + row % group * lse.head_stride] = value;
}

/// Writes `columns` of `values`, a multiple of kLanes long, without touching what lies behind them.
template <class M>
void write_row(Element element, char* row, const float* values, int64_t columns) {
  int64_t i = 0;
  for (; i + M::kLanes <= columns; i += M::kLanes) store_as<M>(element, row, i, M::load(values + i));
  if (M::kLanes == 1 || i == columns) return;
  alignas(64) char tail[64];
  store_as<M>(element, tail, 0, M::load(values + i));
  memcpy(row + i * element_size(element), tail, static_cast<size_t>((columns - i) * element_size(element)));
}

template <class M>
void write_panel(const Unit& unit, const Panel& panel, int64_t first_row, const float* output, int blocks) {
  constexpr int kWidth = M::kPvVecs * M::kLanes;
  constexpr float kLn2 = 0.693147180559945f;
  alignas(64) float values[1024 + kWidth];
  for (int r = 0; r < panel.rows; ++r) {
    const float sum = row_sum(panel, r);
    const bool empty = !panel.touched || sum == 0;
    const typename M::Vec factor = M::set(1.0f / sum);
    for (int b = 0; b < blocks; ++b) {
      typename M::Vec block[M::kPvVecs];
      FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) {
        const float* o = output + ((static_cast<int64_t>(b) * kPanelRows + r) * M::kPvVecs + i) * M::kLanes;
        block[i] = empty ? M::zero() : M::mul(M::load(o), factor);
      }
      M::restore_order(block);
      FLASH_MLA_UNROLL for (int i = 0; i < M::kPvVecs; ++i) M::store(values + b * kWidth + i * M::kLanes, block[i]);
    }
    const int64_t row = first_row + r;
    write_row<M>(unit.out.element, out_row(unit.out, unit.group, row), values, unit.d_v);
    write_lse(unit.lse, unit.group, row, empty ? -__builtin_inff() : (panel.shift[r] + __builtin_log2f(sum)) * kLn2);
  }
}

/// Merges rows [first, last) of all parts, in part order. Parts with lse = -inf hold nothing and are not read.
template <class M>
void merge_rows(const MergeRows& merge, int64_t first, int64_t last) {
  constexpr int kChunk = 64;
  alignas(64) float values[1024 + kChunk];
  for (int64_t r = first; r < last; ++r) {
    float max = -__builtin_inff();
    for (int64_t p = 0; p < merge.parts; ++p) {
      const float lse = merge.lse[p * merge.rows + r];
      if (lse > max) max = lse;
    }
    const double shift = is_finite(max) ? max : 0;
    memset(values, 0, sizeof(float) * static_cast<size_t>(merge.stride));
    double sum = 0;
    for (int64_t p = 0; p < merge.parts; ++p) {
      const float lse = merge.lse[p * merge.rows + r];
      if (lse == -__builtin_inff()) continue;
      const double weight = __builtin_exp(lse - shift);
      sum += weight;
      const typename M::Vec w = M::set(static_cast<float>(weight));
      const float* part = merge.out + (p * merge.rows + r) * merge.stride;
      for (int64_t i = 0; i < merge.stride; i += M::kLanes) {
        M::store(values + i, M::fma(w, M::load(part + i), M::load(values + i)));
      }
    }
    const typename M::Vec factor = M::set(sum == 0 ? 0.0f : static_cast<float>(1.0 / sum));
    for (int64_t i = 0; i < merge.stride; i += M::kLanes) M::store(values + i, M::mul(M::load(values + i), factor));
    const int64_t row = merge.row_begin + r;
    write_row<M>(merge.target.element, out_row(merge.target, merge.group, row), values, merge.columns);
    write_lse(merge.target_lse, merge.group, row,
              sum == 0 ? -__builtin_inff() : static_cast<float>(shift + __builtin_log(sum)));
  }
}

}  // namespace
}  // namespace flash_mla::cpu
