// The fast reference's kernel over vectors of kWidth doubles. Included once by each instruction set's file; everything
// is in an unnamed namespace and nothing of the standard library is used, so that no code compiled for one machine can
// be linked in place of another's.
//
// Heads are lanes. Both products are C[m][lane] += A[m, k] * B[k][lane]: scores with m = key, k = column, B = queries;
// outputs with m = column, k = key, B = weights. Running softmax: Milakov & Gimelshein (2018).
#pragma once

#include <cstdint>
#include <cstring>

#include "check/attend_fp64.h"

namespace flash_mla::cli {
namespace {

inline constexpr int64_t kBlockKeys = 32;
inline constexpr int64_t kRowPadding =
    8;  // doubles; 512 columns alone would put 8 rows into one set of the first-level cache

template <int kWidth>
using Doubles __attribute__((vector_size(8 * kWidth))) = double;
template <int kWidth>
using Integers __attribute__((vector_size(8 * kWidth))) = int64_t;

inline double widen_bfloat16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

inline double widen_float16(uint16_t bits) {
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffu) << 13;
  float value;
  memcpy(&value, &magnitude, sizeof value);
  // The exponent's bias moves by 112; a product does that for denormal numbers too.
  value *= 0x1p112F;
  if ((bits & 0x7c00u) == 0x7c00u) value = (bits & 0x3ffu) != 0 ? __builtin_nanf("") : value * 0x1p112F;
  return (bits & 0x8000u) != 0 ? -value : value;
}

inline void widen_row(DType dtype, const void* data, int64_t offset, int64_t count, double* to) {
  if (dtype == DType::bfloat16) {
    const auto* from = static_cast<const uint16_t*>(data) + offset;
    for (int64_t i = 0; i < count; ++i) to[i] = widen_bfloat16(from[i]);
  } else if (dtype == DType::float16) {
    const auto* from = static_cast<const uint16_t*>(data) + offset;
    for (int64_t i = 0; i < count; ++i) to[i] = widen_float16(from[i]);
  } else {
    const auto* from = static_cast<const float*>(data) + offset;
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

/// e^x for x <= 0, to an ulp or two; below -708 it stays at e^-708, which no sum that holds e^0 notices.
template <int kWidth>
Doubles<kWidth> exp_negative(Doubles<kWidth> x) {
  using V = Doubles<kWidth>;
  const V floor = V{} - 708.0;
  x = x < floor ? floor : x;
  constexpr double kShift = 0x1.8p52;  // leaves the nearest integer in the low bits
  const V shifted = x * 1.44269504088896340736 + kShift;
  const V whole = shifted - kShift;
  const V rest = (x - whole * 0x1.62e42fefa38p-1) - whole * 0x1.ef35793c7673p-45;  // ln 2 in two parts
  // Taylor: |rest| < 0.347, so the first term left out is below 1e-17.
  constexpr double kInverseFactorials[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
      1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
  V sum = V{};
  for (double coefficient : kInverseFactorials) sum = sum * rest + coefficient;
  const Integers<kWidth> exponent = (Integers<kWidth>)shifted << 52;
  return (V)((Integers<kWidth>)sum + exponent);
}

/// C[kRows][kVectors * kWidth] += A B over `depth`.
template <int kWidth, int kVectors, int kRows>
void multiply_tile(const double* a, int64_t a_row, int64_t a_depth, const double* b, int64_t b_row, int64_t depth,
                   double* c, int64_t c_row) {
  using V = Doubles<kWidth>;
  V sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 3
    for (int n = 0; n < kVectors; ++n) sum[m][n] = *reinterpret_cast<const V*>(c + m * c_row + n * kWidth);
  }
  for (int64_t k = 0; k < depth; ++k) {
    V right[kVectors];
#pragma GCC unroll 3
    for (int n = 0; n < kVectors; ++n) right[n] = *reinterpret_cast<const V*>(b + k * b_row + n * kWidth);
#pragma GCC unroll 8
    for (int m = 0; m < kRows; ++m) {
      const double left = a[m * a_row + k * a_depth];
#pragma GCC unroll 3
      for (int n = 0; n < kVectors; ++n) sum[m][n] += left * right[n];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 3
    for (int n = 0; n < kVectors; ++n) *reinterpret_cast<V*>(c + m * c_row + n * kWidth) = sum[m][n];
  }
}

template <int kWidth, int kVectors>
void multiply_panel(const double* a, int64_t a_row, int64_t a_depth, const double* b, int64_t b_row, int64_t rows,
                    int64_t depth, double* c, int64_t c_row) {
  constexpr int kRows = kWidth == 8 || kVectors == 1 ? 8 : 4;  // accumulators: 24 of 32 registers, or 12 of 16
  int64_t m = 0;
  for (; m + kRows <= rows; m += kRows) {
    multiply_tile<kWidth, kVectors, kRows>(a + m * a_row, a_row, a_depth, b, b_row, depth, c + m * c_row, c_row);
  }
  for (; m < rows; ++m) {
    multiply_tile<kWidth, kVectors, 1>(a + m * a_row, a_row, a_depth, b, b_row, depth, c + m * c_row, c_row);
  }
}

/// C[rows][lanes] += A B; lanes is a multiple of kWidth and the row length of B and C.
template <int kWidth>
void multiply(const double* a, int64_t a_row, int64_t a_depth, const double* b, int64_t lanes, int64_t rows,
              int64_t depth, double* c) {
  int64_t lane = 0;
  for (; lane + 3 * kWidth <= lanes; lane += 3 * kWidth) {
    multiply_panel<kWidth, 3>(a, a_row, a_depth, b + lane, lanes, rows, depth, c + lane, lanes);
  }
  if (lane + 2 * kWidth <= lanes) {
    multiply_panel<kWidth, 2>(a, a_row, a_depth, b + lane, lanes, rows, depth, c + lane, lanes);
    lane += 2 * kWidth;
  }
  if (lane < lanes) multiply_panel<kWidth, 1>(a, a_row, a_depth, b + lane, lanes, rows, depth, c + lane, lanes);
}

/// Turns a block of scores into weights relative to the running maximum; rescales what came before.
template <int kWidth>
void softmax_block(int64_t keys, int64_t lanes, double scale, double* scores, double* maximum, double* total,
                   double* out, int64_t d_v) {
  using V = Doubles<kWidth>;
  for (int64_t lane = 0; lane < lanes; lane += kWidth) {
    auto* max_at = reinterpret_cast<V*>(maximum + lane);
    auto* total_at = reinterpret_cast<V*>(total + lane);
    V max = *max_at;
    for (int64_t t = 0; t < keys; ++t) {
      auto* score = reinterpret_cast<V*>(scores + t * lanes + lane);
      *score *= scale;
      max = *score > max ? *score : max;
    }
    const V factor = exp_negative<kWidth>(*max_at - max);
    V sum = *total_at * factor;
    for (int64_t t = 0; t < keys; ++t) {
      auto* score = reinterpret_cast<V*>(scores + t * lanes + lane);
      *score = exp_negative<kWidth>(*score - max);
      sum += *score;
    }
    for (int64_t i = 0; i < d_v; ++i) *reinterpret_cast<V*>(out + i * lanes + lane) *= factor;
    *max_at = max;
    *total_at = sum;
  }
}

inline void zero(double* to, int64_t count) {
  memset(to, 0, static_cast<size_t>(count) * sizeof(double));
}

template <int kWidth>
void attend(const AttentionUnit& unit) {
  const int64_t lanes = (unit.heads + kWidth - 1) / kWidth * kWidth;
  const int64_t k_stride = unit.d + kRowPadding;
  const int64_t v_stride = unit.v_rows != nullptr ? unit.d_v + kRowPadding : k_stride;
  double* next = unit.scratch;
  const auto take = [&next](int64_t count) {
    double* taken = next;
    next += (count + 7) / 8 * 8;
    return taken;
  };
  double* queries = take(unit.d * lanes);
  double* out = take(unit.d_v * lanes);
  double* scores = take(kBlockKeys * lanes);
  double* maximum = take(lanes);
  double* total = take(lanes);
  double* k_block = take(kBlockKeys * k_stride);
  double* v_block = unit.v_rows != nullptr ? take(kBlockKeys * v_stride) : k_block;

  zero(queries, unit.d * lanes);
  zero(out, unit.d_v * lanes);
  zero(total, lanes);
  for (int64_t lane = 0; lane < lanes; ++lane) maximum[lane] = -__builtin_inf();
  for (int64_t head = 0; head < unit.heads; ++head) {
    widen_row(unit.dtype, unit.q, head * unit.q_head_stride, unit.d, k_block);
    for (int64_t i = 0; i < unit.d; ++i) queries[i * lanes + head] = k_block[i];
  }

  for (int64_t first = 0; first < unit.keys; first += kBlockKeys) {
    const int64_t keys = unit.keys - first < kBlockKeys ? unit.keys - first : kBlockKeys;
    for (int64_t t = 0; t < keys; ++t) {
      widen_row(unit.dtype, unit.k, unit.k_rows[first + t], unit.d, k_block + t * k_stride);
      if (unit.v_rows != nullptr) {
        widen_row(unit.dtype, unit.v, unit.v_rows[first + t], unit.d_v, v_block + t * v_stride);
      }
    }
    zero(scores, keys * lanes);
    multiply<kWidth>(k_block, k_stride, 1, queries, lanes, keys, unit.d, scores);
    softmax_block<kWidth>(keys, lanes, unit.scale, scores, maximum, total, out, unit.d_v);
    multiply<kWidth>(v_block, 1, v_stride, scores, lanes, unit.d_v, keys, out);
  }

  for (int64_t head = 0; head < unit.heads; ++head) {
    const bool empty = unit.keys == 0;
    for (int64_t i = 0; i < unit.d_v; ++i) {
      unit.out[head * unit.d_v + i] = empty ? 0 : out[i * lanes + head] / total[head];
    }
    unit.lse[head * unit.lse_stride] = empty ? maximum[head] : maximum[head] + __builtin_log(total[head]);
  }
}

}  // namespace
}  // namespace flash_mla::cli
