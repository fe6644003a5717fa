// The grid of `check`, and the data behind it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "check/data_set.h"
#include "check/grid.h"

namespace flash_mla::cli {
namespace {

size_t count_cases(const std::vector<Family>& families, const std::string& group) {
  size_t cases = 0;
  for (const Family& family : families) cases += family.data.group == group ? family.cases.size() : 0;
  return cases;
}

std::set<std::string> groups_of(const std::vector<Family>& families) {
  std::set<std::string> groups;
  for (const Family& family : families) groups.insert(family.data.group);
  return groups;
}

TEST(Grid, HoldsFlashMlasCases) {
  const std::vector<Family> families = whole_grid(Extent::full, 1);
  EXPECT_EQ(count_cases(families, "FlashMLA"), 2304U);
  EXPECT_EQ(count_cases(families, "FlashMLA corner"), 32U);
}

TEST(Grid, QuickCoversEveryGroup) {
  const std::vector<Family> quick = whole_grid(Extent::quick, 1);
  EXPECT_EQ(groups_of(quick), groups_of(whole_grid(Extent::full, 1)));
  double flop = 0;
  for (const Family& family : quick) {
    for (const Case& one : family.cases) flop += flop_of(family.data, one);
  }
  EXPECT_LT(flop, 3e10);
}

TEST(Grid, EveryFamilyHoldsItsCases) {
  for (Extent extent : {Extent::quick, Extent::full}) {
    for (const Family& family : whole_grid(extent, 1)) {
      const DecodeShape& shape = family.data.shape;
      ASSERT_FALSE(family.cases.empty());
      ASSERT_EQ(family.data.seqlens.size(), static_cast<size_t>(shape.batch));
      for (const Case& one : family.cases) {
        ASSERT_LE(one.h_q, shape.h_q);
        ASSERT_EQ(one.h_q % shape.h_kv, 0);
        if (family.data.cu_seqlens_q.empty()) {
          ASSERT_TRUE(one.s_q >= 1 && one.s_q <= shape.s_q);
        } else {
          ASSERT_EQ(one.s_q, 0);
        }
        // With a window, causality moves what the page table has to hold.
        ASSERT_TRUE(family.data.mask.window == 0 || one.causal == family.data.mask.causal);
      }
    }
  }
}

TEST(Grid, NeedlesStandAtEveryPosition) {
  for (Extent extent : {Extent::quick, Extent::full}) {
    std::set<int64_t> places;
    int32_t longest = 0;
    for (const Family& family : needle_grid(extent, 1)) {
      const DecodeShape& shape = family.data.shape;
      if (shape.batch > 1) continue;
      longest = std::max(longest, family.data.seqlens.front());
      for (int64_t row = 0; row < shape.s_q * shape.h_q; ++row) {
        places.insert((family.data.first_needle + row) % family.data.seqlens.front());
      }
    }
    EXPECT_EQ(static_cast<int32_t>(places.size()), longest);
  }
}

DataSpec small_spec() {
  DataSpec spec;
  spec.shape.batch = 3;
  spec.shape.s_q = 2;
  spec.shape.h_q = 4;
  spec.shape.h_kv = 2;
  spec.shape.d = 24;
  spec.shape.d_v = 16;
  spec.shape.page_size = 8;
  spec.seqlens = {19, 0, 8};
  spec.seed = 5;
  return spec;
}

double element(const ConstTensor& cache, int64_t page, int64_t row, int64_t head, int64_t column) {
  const auto& strides = cache.strides;
  return load(cache.dtype, cache.data, page * strides[0] + row * strides[1] + head * strides[2] + column);
}

int32_t entry(const ConstTensor& table, int64_t sequence, int64_t column) {
  return static_cast<const int32_t*>(table.data)[sequence * table.strides[0] + column * table.strides[1]];
}

TEST(DataSet, WhatIsDeadIsPoisoned) {
  for (Layout layout : {Layout::dense, Layout::padded, Layout::transposed}) {
    DataSpec spec = small_spec();
    spec.layout = layout;
    DataSet data;
    data.build(spec);
    const DecodeArgs args = data.args();
    std::set<int32_t> live;
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t column = 0; column < args.page_table.shape[1]; ++column) {
        const int32_t page = entry(args.page_table, i, column);
        if (column * 8 >= spec.seqlens[i]) {
          EXPECT_EQ(page, 2147480000);
          continue;
        }
        ASSERT_TRUE(page >= 0 && page < args.k_cache.shape[0]);
        EXPECT_TRUE(live.insert(page).second) << "page " << page << " is used twice";
        for (int64_t row = 0; row < 8; ++row) {
          const bool is_token = column * 8 + row < spec.seqlens[i];
          EXPECT_EQ(std::isfinite(element(args.k_cache, page, row, 1, 23)), is_token);
        }
      }
    }
    EXPECT_EQ(live.size(), 4U);
    EXPECT_GT(args.k_cache.shape[0], 4);
    for (int32_t page = 0; page < args.k_cache.shape[0]; ++page) {
      EXPECT_EQ(std::isnan(element(args.k_cache, page, 0, 0, 0)), live.count(page) == 0);
    }
  }
}

TEST(DataSet, PagesThatAWindowHidesAreDead) {
  DataSpec spec = small_spec();
  spec.seqlens = {80, 80, 80};
  spec.mask = {true, 10, 3};
  DataSet data;
  data.build(spec);
  const DecodeArgs args = data.args();
  // The two queries see keys 69 to 78 and 70 to 79: pages 8 and 9, and page 0 for the sinks.
  for (int64_t column = 0; column < 10; ++column) {
    EXPECT_EQ(entry(args.page_table, 1, column) != 2147480000, column == 0 || column >= 8) << column;
  }
}

TEST(DataSet, LayoutsDifferInPlaceOnly) {
  DataSpec spec = small_spec();
  DataSet dense;
  dense.build(spec);
  for (Layout layout : {Layout::padded, Layout::transposed}) {
    spec.layout = layout;
    DataSet other;
    other.build(spec);
    EXPECT_NE(other.args().k_cache.strides, dense.args().k_cache.strides);
    for (int64_t column = 0; column < 3; ++column) {
      const int32_t page = entry(dense.args().page_table, 0, column);
      ASSERT_EQ(entry(other.args().page_table, 0, column), page);
      EXPECT_EQ(element(other.args().k_cache, page, 2, 1, 7), element(dense.args().k_cache, page, 2, 1, 7));
    }
  }
}

TEST(Array, NoticesWritesBesideItsElements) {
  Array array;
  array.make(DType::bfloat16, {2, 3, 5}, Layout::padded, {0, 1});
  EXPECT_TRUE(array.surroundings_intact());
  store(DType::bfloat16, array.at(1, 2), 4, 1.0);
  EXPECT_TRUE(array.surroundings_intact());
  store(DType::bfloat16, array.at(0, 0), 5, 1.0);
  EXPECT_FALSE(array.surroundings_intact());
}

TEST(NormalTable, IsNormal) {
  const NormalTable normal(DType::float32, 0.1, 3);
  std::vector<float> values(1024);
  double sum = 0;
  double squares = 0;
  for (uint64_t row = 0; row < 200; ++row) {
    normal.copy_row(row, 1024, reinterpret_cast<std::byte*>(values.data()));
    for (float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
  }
  const double count = 200.0 * 1024;
  EXPECT_NEAR(sum / count, 0, 0.1 * 5 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), 0.1, 0.001);
}

TEST(Elements, RoundToNearest) {
  uint16_t bits = 0;
  const auto float16 = [&](double value) {
    store(DType::float16, &bits, 0, value);
    return bits;
  };
  EXPECT_EQ(float16(1.0), 0x3c00);
  EXPECT_EQ(float16(-2.0), 0xc000);
  EXPECT_EQ(float16(65504), 0x7bff);
  EXPECT_EQ(float16(65520), 0x7c00);
  EXPECT_EQ(float16(0x1p-24), 0x0001);
  EXPECT_EQ(float16(0x1p-14), 0x0400);
  EXPECT_EQ(float16(1 + 0x1p-11), 0x3c00);  // a tie goes to the even one
  EXPECT_EQ(float16(1 + 3 * 0x1p-11), 0x3c02);
  for (int value = 0; value < 0x7c00; ++value) {
    bits = static_cast<uint16_t>(value);
    const double number = load(DType::float16, &bits, 0);
    ASSERT_EQ(float16(number), value);
  }
}

}  // namespace
}  // namespace flash_mla::cli
