#include "bench/workload.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "bench/read_meter.h"
#include "check/normal_table.h"

namespace flash_mla::cli {
namespace {

constexpr double kDeviation = 0.1;

int64_t pages_of(const BenchCase& one, int32_t length) {
  return (length + one.shape.page_size - 1) / one.shape.page_size;
}

int64_t pages_a_copy(const BenchCase& one) {
  return std::accumulate(one.seqlens.begin(), one.seqlens.end(), int64_t{0},
                         [&](int64_t sum, int32_t length) { return sum + pages_of(one, length); });
}

int64_t copies_of(const BenchCase& one) {
  if (!one.cold) return 1;
  const int64_t bytes = std::max<int64_t>(one.kv_bytes(), 1);
  return (uncached_bytes() + bytes - 1) / bytes;
}

int64_t row_bytes(const BenchCase& one, int64_t width) {
  return width * static_cast<int64_t>(size_of(one.shape.dtype));
}

/// Fills `rows` rows of `width` with deviates.
std::byte* fill(Buffer& buffer, const BenchCase& one, int64_t rows, int64_t width, uint64_t seed) {
  const NormalTable normal(one.shape.dtype, kDeviation, seed);
  const int64_t bytes = row_bytes(one, width);
  std::byte* data = buffer.resize(static_cast<size_t>(rows * bytes));
#pragma omp parallel for
  for (int64_t row = 0; row < rows; ++row) normal.copy_row(static_cast<uint64_t>(row), width, data + row * bytes);
  return data;
}

}  // namespace

int64_t Workload::pool_bytes(const BenchCase& one) {
  const DecodeShape& shape = one.shape;
  const int64_t rows = pages_a_copy(one) * copies_of(one) * shape.page_size * shape.h_kv;
  return rows * row_bytes(one, shape.d + (shape.separate_v ? shape.d_v : 0));
}

void Workload::build_page_tables(const BenchCase& one, uint64_t seed) {
  std::vector<int32_t> order(static_cast<size_t>(pages_));
  std::iota(order.begin(), order.end(), 0);
  if (!one.ordered_pages) std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
  const int32_t longest = *std::max_element(one.seqlens.begin(), one.seqlens.end());
  columns_ = std::max<int64_t>(pages_of(one, longest), 1);
  page_tables_.assign(static_cast<size_t>(copies_ * one.shape.batch * columns_), -1);
  auto next = order.begin();
  for (int64_t copy = 0; copy < copies_; ++copy) {
    for (int64_t i = 0; i < one.shape.batch; ++i) {
      const auto row = page_tables_.begin() + (copy * one.shape.batch + i) * columns_;
      const int64_t pages = pages_of(one, one.seqlens[i]);
      std::copy_n(next, pages, row);
      next += pages;
    }
  }
}

void Workload::build(const BenchCase& one, uint64_t seed) {
  case_ = one;
  plan_.clear();
  const DecodeShape& shape = case_.shape;
  copies_ = copies_of(case_);
  turn_ = 0;
  pages_ = pages_a_copy(case_) * copies_;
  build_page_tables(case_, seed);

  const int64_t tokens = pages_ * shape.page_size * shape.h_kv;
  args_ = {};
  args_.k_cache = ConstTensor(fill(k_, case_, tokens, shape.d, seed + 1), shape.dtype,
                              {pages_, shape.page_size, shape.h_kv, shape.d});
  if (shape.separate_v) {
    args_.v_cache = ConstTensor(fill(v_, case_, tokens, shape.d_v, seed + 2), shape.dtype,
                                {pages_, shape.page_size, shape.h_kv, shape.d_v});
  }
  const int64_t rows = shape.batch * shape.s_q * shape.h_q;
  args_.q =
      ConstTensor(fill(q_, case_, rows, shape.d, seed + 3), shape.dtype, {shape.batch, shape.s_q, shape.h_q, shape.d});
  args_.seqlens = ConstTensor(case_.seqlens.data(), DType::int32, {shape.batch});
  args_.out = Tensor(out_.resize(static_cast<size_t>(rows * shape.d_v) * size_of(shape.out_dtype)), shape.out_dtype,
                     {shape.batch, shape.s_q, shape.h_q, shape.d_v});
  args_.lse = Tensor(lse_.resize(static_cast<size_t>(rows) * sizeof(float)), DType::float32,
                     {shape.batch, shape.h_q, shape.s_q});
}

Status Workload::plan(const char* backend, int threads) {
  PlanSpec spec;
  spec.shape = case_.shape;
  spec.seqlens = case_.seqlens.data();
  spec.mask = case_.mask;
  spec.num_workers = threads;
  spec.backend = backend;
  Result<Plan> plan = Plan::make(spec);
  if (!plan.ok()) return plan.status();
  plan_.clear();
  plan_.push_back(std::move(plan).value());
  args_.workspace_size = plan_.front().workspace_size();
  args_.workspace = workspace_.resize(args_.workspace_size);
  return {};
}

Status Workload::call() {
  args_.page_table = ConstTensor(page_tables_.data() + turn_ * case_.shape.batch * columns_, DType::int32,
                                 {case_.shape.batch, columns_});
  turn_ = (turn_ + 1) % copies_;
  return decode(plan_.front(), args_);
}

}  // namespace flash_mla::cli
