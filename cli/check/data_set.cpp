#include "check/data_set.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace flash_mla::cli {
namespace {

enum Salt : uint64_t { kQuerySalt = 1, kKeySalt, kValueSalt, kPageSalt, kNeedleSalt };

void set_int32(const Array& array, int32_t value, int64_t i0, int64_t i1 = 0) {
  std::memcpy(array.at(i0, i1), &value, sizeof value);
}

int32_t get_int32(const Array& array, int64_t i0, int64_t i1 = 0) {
  int32_t value;
  std::memcpy(&value, array.at(i0, i1), sizeof value);
  return value;
}

int64_t queries_of(const DataSpec& spec, int64_t sequence) {
  if (spec.cu_seqlens_q.empty()) return spec.shape.s_q;
  return spec.cu_seqlens_q[sequence + 1] - spec.cu_seqlens_q[sequence];
}

/// Whether some query of the sequence sees some token of [begin, end).
bool is_seen(const DataSpec& spec, int64_t sequence, int64_t begin, int64_t end) {
  const int64_t s_k = spec.seqlens[sequence];
  const int64_t s_q = queries_of(spec, sequence);
  if (s_q == 0 || begin >= s_k) return false;
  const Mask& mask = spec.mask;
  if (mask.window == 0) return true;
  const int64_t first_end = mask.causal ? s_k - (s_q - 1) : s_k;
  return begin < mask.sinks || end > first_end - mask.window;
}

/// 0, 1, ... count - 1 in random order (Fisher and Yates, 1938).
std::vector<int32_t> shuffled(int64_t count, uint64_t seed) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = count - 1; i > 0; --i) {
    std::swap(order[i], order[mix(seed, static_cast<uint64_t>(i)) % static_cast<uint64_t>(i + 1)]);
  }
  return order;
}

}  // namespace

void DataSet::build(const DataSpec& spec) {
  spec_ = spec;
  const DecodeShape& shape = spec.shape;
  const int64_t total_q = spec.cu_seqlens_q.empty() ? shape.batch * shape.s_q : spec.cu_seqlens_q.back();
  q_.make(shape.dtype, {total_q, shape.h_q, shape.d}, Layout::dense, {});
  fill_queries();

  seqlens_.make(DType::int32, {shape.batch}, spec.layout, {.free_last = true});
  for (int64_t i = 0; i < shape.batch; ++i) set_int32(seqlens_, spec.seqlens[i], i);
  if (!spec.cu_seqlens_q.empty()) {
    cu_seqlens_q_.make(DType::int32, {shape.batch + 1}, spec.layout, {.free_last = true});
    for (int64_t i = 0; i <= shape.batch; ++i) set_int32(cu_seqlens_q_, spec.cu_seqlens_q[i], i);
  }
  build_page_table();
  fill_cache(k_, shape.d, kKeySalt);
  if (shape.separate_v) fill_cache(v_, shape.d_v, kValueSalt);
  if (spec.values == Values::needles) plant_needles();
}

DecodeArgs DataSet::args() const {
  const DecodeShape& shape = spec_.shape;
  DecodeArgs args;
  args.q = spec_.cu_seqlens_q.empty()
               ? ConstTensor(q_.view().data, shape.dtype, {shape.batch, shape.s_q, shape.h_q, shape.d})
               : ConstTensor(q_.view());
  args.k_cache = k_.view();
  if (shape.separate_v) args.v_cache = v_.view();
  args.page_table = page_table_.view();
  args.seqlens = seqlens_.view();
  if (!spec_.cu_seqlens_q.empty()) args.cu_seqlens_q = cu_seqlens_q_.view();
  args.scale = spec_.scale;
  return args;
}

const NormalTable& DataSet::table_for(uint64_t salt) {
  // Queries and keys have tables of their own: cut from the same place of one, they would match perfectly.
  auto& table = tables_[{spec_.shape.dtype, spec_.values, salt}];
  const double deviation = spec_.values == Values::unit ? 1.0 : 0.1;
  if (table == nullptr) table = std::make_unique<NormalTable>(spec_.shape.dtype, deviation, salt);
  return *table;
}

void DataSet::build_page_table() {
  const DecodeShape& shape = spec_.shape;
  const int32_t longest = spec_.seqlens.empty() ? 0 : *std::max_element(spec_.seqlens.begin(), spec_.seqlens.end());
  const int64_t columns = (longest + shape.page_size - 1) / shape.page_size + 1;
  page_table_.make(DType::int32, {shape.batch, columns}, spec_.layout, {0, 1, true});
  int64_t live = 0;
  for (int64_t i = 0; i < shape.batch; ++i) {
    for (int64_t column = 0; column < columns; ++column) {
      const bool seen = is_seen(spec_, i, column * shape.page_size, (column + 1) * shape.page_size);
      set_int32(page_table_, seen ? 0 : kDeadPage, i, column);
      live += seen ? 1 : 0;
    }
  }
  const int64_t pages = live + live / 16 + 3;
  const std::vector<int32_t> order = shuffled(pages, mix(spec_.seed, kPageSalt));
  auto next = order.begin();
  for (int64_t i = 0; i < shape.batch; ++i) {
    for (int64_t column = 0; column < columns; ++column) {
      if (get_int32(page_table_, i, column) != kDeadPage) set_int32(page_table_, *next++, i, column);
    }
  }
  const Axes axes{1, 2, false};
  k_.make(shape.dtype, {pages, shape.page_size, shape.h_kv, shape.d}, spec_.layout, axes);
  if (shape.separate_v) v_.make(shape.dtype, {pages, shape.page_size, shape.h_kv, shape.d_v}, spec_.layout, axes);
}

void DataSet::fill_cache(Array& cache, int64_t width, uint64_t salt) {
  const DecodeShape& shape = spec_.shape;
  const NormalTable& normal = table_for(salt);
  const uint64_t seed = mix(spec_.seed, salt);
  const int64_t columns = page_table_.view().shape[1];
#pragma omp parallel for collapse(2) schedule(dynamic, 16)
  for (int64_t i = 0; i < shape.batch; ++i) {
    for (int64_t column = 0; column < columns; ++column) {
      const int32_t page = get_int32(page_table_, i, column);
      if (page == kDeadPage) continue;
      const int64_t rows = std::min<int64_t>(shape.page_size, spec_.seqlens[i] - column * shape.page_size);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t head = 0; head < shape.h_kv; ++head) {
          const int64_t name = (int64_t{page} * shape.page_size + row) * shape.h_kv + head;
          normal.copy_row(seed + static_cast<uint64_t>(name), width, cache.at(page, row, head));
        }
      }
    }
  }
}

void DataSet::fill_queries() {
  const NormalTable& normal = table_for(kQuerySalt);
  const uint64_t seed = mix(spec_.seed, kQuerySalt);
  const int64_t heads = spec_.shape.h_q;
#pragma omp parallel for
  for (int64_t row = 0; row < q_.view().shape[0] * heads; ++row) {
    normal.copy_row(seed + static_cast<uint64_t>(row), spec_.shape.d, q_.at(row / heads, row % heads));
  }
}

void DataSet::plant_needles() {
  constexpr double kScore = 20;  // e^20 outweighs thousands of keys, and float32 still resolves it to 2e-6
  constexpr double kQueryPart = 0.25;
  const DecodeShape& shape = spec_.shape;
  // The last columns, which are no part of MLA's values: what a needle does to the output is to put an ordinary row
  // there.
  const int64_t columns = std::min<int64_t>(shape.d, 64);
  const double scale = spec_.scale.value_or(1 / std::sqrt(static_cast<double>(shape.d)));
  const double key_part = kScore / (kQueryPart * scale * static_cast<double>(columns));
  const int64_t group = shape.h_q / shape.h_kv;
  int64_t first_row = 0;
  for (int64_t i = 0; i < shape.batch; ++i) {
    const int64_t s_q = queries_of(spec_, i);
    for (int64_t token = 0; token < s_q; ++token) {
      for (int64_t head = 0; head < shape.h_q; ++head) {
        const int64_t in_group = token * group + head % group;
        const int64_t place = spec_.first_needle + i * s_q * group + in_group;
        const int64_t key = spec_.seqlens[i] > 0 ? place % spec_.seqlens[i] : 0;
        const int32_t page = get_int32(page_table_, i, key / shape.page_size);
        std::byte* query = q_.at(first_row + token, head);
        const uint64_t signs = mix(mix(spec_.seed, kNeedleSalt), static_cast<uint64_t>(i * s_q * group + in_group));
        for (int64_t column = shape.d - columns; column < shape.d; ++column) {
          const double sign = (mix(signs, static_cast<uint64_t>(column)) & 1u) != 0 ? 1 : -1;
          store(shape.dtype, query, column, load(shape.dtype, query, column) + sign * kQueryPart);
          if (page == kDeadPage) continue;
          store(shape.dtype, k_.at(page, key % shape.page_size, head / group), column, sign * key_part);
        }
      }
    }
    first_row += s_q;
  }
}

}  // namespace flash_mla::cli
