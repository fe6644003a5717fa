// Rows to pages and back, against float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <random>
#include <string>

#include "reference.h"

namespace flash_mla {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();

float bf16(uint32_t bits) {
  return std::bit_cast<float>(bits << 16);
}

struct Group {
  double largest = 0;  ///< finite magnitude
  bool finite = true;
};

/// The group that element `index` is in.
Group group_of(const std::vector<float>& rows, const KvFormat& format, size_t index) {
  const auto width = static_cast<size_t>(format.width());
  const auto size = static_cast<size_t>(format.spec().group);
  const size_t row = index / width * width;
  const size_t begin = index % width / size * size;
  const size_t end = std::min(begin + size, static_cast<size_t>(format.spec().latent));
  Group group;
  for (size_t column = begin; column < end; ++column) {
    const double magnitude = std::abs(rows[row + column]);
    if (std::isfinite(magnitude)) {
      group.largest = std::max(group.largest, magnitude);
    } else {
      group.finite = false;
    }
  }
  return group;
}

/// Finite values come back within the stated bound, but for int8 groups with a NaN or infinity.
void expect_within_bounds(const KvFormat& format, const std::vector<float>& rows, const std::vector<float>& back) {
  ASSERT_EQ(back.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!std::isfinite(rows[i])) continue;
    const int64_t column = static_cast<int64_t>(i) % format.width();
    const Group group = group_of(rows, format, i);
    const double bound = format.error_bound(column, rows[i], group.largest);
    const bool spoilt =
        format.spec().kind == KvFormatKind::int8_scaled && column < format.spec().latent && !group.finite;
    const std::string what = std::string(name_of(format.spec().kind)) + " " + std::to_string(rows[i]);
    if (spoilt) {
      ASSERT_TRUE(std::isnan(back[i])) << what;
    } else if (std::isinf(bound)) {
      ASSERT_TRUE(std::isinf(back[i])) << what;
    } else {
      ASSERT_LE(std::abs(static_cast<double>(back[i]) - rows[i]), bound) << what;
    }
  }
}

std::vector<float> normal_rows(size_t count, double deviation, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, deviation);
  std::vector<float> rows(count);
  for (float& value : rows) value = static_cast<float>(normal(generator));
  return rows;
}

TEST(KvFormatE4m3, EveryCodeMeansItsValue) {
  Page page({KvFormatKind::fp8_flat, 256, 0, 128, 1, 1});
  for (int code = 0; code < 256; ++code) page.bytes[static_cast<size_t>(code)] = std::byte(code);
  const std::vector<float> values = page.load(0, 1);
  ASSERT_EQ(values.size(), 256u);
  for (size_t code = 0; code < 127; ++code) {
    EXPECT_EQ(values[code], static_cast<float>(kE4m3Values[code])) << code;
    EXPECT_EQ(values[code + 128], -static_cast<float>(kE4m3Values[code])) << code;
    EXPECT_TRUE(std::signbit(values[code + 128])) << code;
  }
  EXPECT_TRUE(std::isnan(values[127]));
  EXPECT_TRUE(std::isnan(values[255]));
  // Each value has its own code again.
  Page again({KvFormatKind::fp8_flat, 256, 0, 128, 1, 1});
  again.round_trip(values);
  for (int code = 0; code < 256; ++code) EXPECT_EQ(again.at<uint8_t>(code), code);
}

TEST(KvFormatE4m3, RoundsToNearestEven) {
  Page page({KvFormatKind::fp8_flat, 9, 0, 128, 1, 1});
  //                                   ties: 17 to 16, 19 to 20; below 2^-6: 1.5 to 2 steps, 0.5 to 0, and just over to
  //                                   1
  const std::vector<float> back =
      page.round_trip({17, 19, 0x1.8p-9f, 0x1p-10f, 0x1.000002p-10f, 464, 1e30f, -1e30f, -0.0f});
  EXPECT_EQ(back, (std::vector<float>{16, 20, 0x1p-8f, 0, 0x1p-9f, 448, 448, -448, 0}));
  EXPECT_TRUE(std::signbit(back[8]));
}

TEST(KvFormatE4m3, EveryBfloat16ComesOutAsItsNearest) {
  for (const float scale : {1.0f, 0.25f}) {
    Page page({KvFormatKind::fp8_flat, 1024, 0, 128, 64, scale});
    std::vector<float> rows(65536);
    for (uint32_t bits = 0; bits < 65536; ++bits) rows[bits] = bf16(bits);
    const std::vector<float> back = page.round_trip(rows);
    ASSERT_EQ(back.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      const double expected = scale * nearest_e4m3(rows[i] / static_cast<double>(scale));
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(back[i])) << rows[i];
      } else {
        ASSERT_EQ(back[i], expected) << rows[i];
      }
    }
  }
}

TEST(KvFormatScaled, Fp8IsTheNearestAtThatScale) {
  for (const double deviation : {1.0, 1e-3, 1e4, 1e-7}) {
    Page page({KvFormatKind::fp8_scaled, 512, 64, 128, 64, 1});
    const std::vector<float> rows = normal_rows(64 * 576, deviation, 5);
    const std::vector<float> back = page.round_trip(rows);
    ASSERT_EQ(back.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      if (i % 576 >= 512) continue;
      const double scale = reference_scale(group_of(rows, page.format, i).largest);
      ASSERT_EQ(back[i], scale * nearest_e4m3(rows[i] / scale)) << rows[i];
    }
    expect_within_bounds(page.format, rows, back);
  }
}

TEST(KvFormatScaled, Int8IsTheNearestAtThatScale) {
  Page page({KvFormatKind::int8_scaled, 512, 64, 128, 64, 1});
  const std::vector<float> rows = normal_rows(64 * 576, 1, 6);
  const std::vector<float> back = page.round_trip(rows);
  ASSERT_EQ(back.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i % 576 >= 512) continue;
    const double scale = group_of(rows, page.format, i).largest / 127;
    const double steps = rows[i] / scale;
    // Where two steps are nearly as near, rounding of the scale may decide.
    if (std::abs(std::abs(steps - std::trunc(steps)) - 0.5) < 1e-4) continue;
    ASSERT_NEAR(back[i], scale * std::round(steps), 1e-6 * std::abs(back[i])) << rows[i];
  }
  expect_within_bounds(page.format, rows, back);
}

TEST(KvFormatScaled, FlashMlasBytes) {
  // Two groups of 4 and a rope of 2. Largest 448: scale 1. Largest 449: scale 2.
  Page page({KvFormatKind::fp8_scaled, 8, 2, 4, 2, 1});
  ASSERT_EQ(page.format.page_bytes(), 2 * (8 + 8 + 4));
  page.round_trip({1, -2, 448, 0, 449, 1, 2, 4, 1, -1}, 1);
  const uint8_t codes[8] = {0x38, 0xc0, 0x7e, 0x00, 0x76, 0x30, 0x38, 0x40};  // 449 / 2 comes to 224 = 1.75 * 2^7
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(page.at<uint8_t>(20 + i), codes[i]) << i;
  EXPECT_EQ(page.at<float>(20 + 8), 1.0f);
  EXPECT_EQ(page.at<float>(20 + 12), 2.0f);
  EXPECT_EQ(page.at<uint16_t>(20 + 16), 0x3f80);
  EXPECT_EQ(page.at<uint16_t>(20 + 18), 0xbf80);
  for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(page.at<uint8_t>(i), 0xee) << i;  // the other token stays as it was
}

TEST(KvFormatScaled, Int8Bytes) {
  Page page({KvFormatKind::int8_scaled, 4, 1, 4, 2, 1});
  ASSERT_EQ(page.format.page_bytes(), 2 * (4 + 2 + 4));
  page.round_trip({254, -254, 3, 0, 1}, 1);  // scale 2; 1.5 steps go to the even 2
  const int8_t codes[4] = {127, -127, 2, 0};
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(page.at<int8_t>(6 + i), codes[i]) << i;
  EXPECT_EQ(page.at<uint16_t>(6 + 4), 0x3f80);
  EXPECT_EQ(page.at<float>(12 + 4), 2.0f);
  EXPECT_EQ(page.at<uint32_t>(12), 0xeeeeeeeeu);
  EXPECT_EQ(page.at<uint8_t>(0), 0xee);
}

TEST(KvFormatBounds, EveryBfloat16InEveryFormat) {
  std::vector<float> rows(65536);
  for (uint32_t bits = 0; bits < 65536; ++bits) rows[bits] = bf16(bits);
  // Neighbours are of one magnitude, so that with groups of 1 and 16 small values meet small scales.
  for (const KvFormatKind kind : kAllKinds) {
    for (const int64_t group : {1, 16, 1024}) {
      for (const int64_t rope : {0, 512}) {
        Page page({kind, 1024 - rope, rope, group, 64, 1});
        const std::vector<float> back = page.round_trip(rows);
        expect_within_bounds(page.format, rows, back);
        for (size_t i = 0; i < rows.size(); ++i) {
          if (std::isnan(rows[i])) {
            ASSERT_TRUE(std::isnan(back[i])) << name_of(kind) << " " << i;
          }
        }
      }
    }
  }
}

TEST(KvFormatBounds, RandomRowsInEveryFormat) {
  for (const KvFormatKind kind : kAllKinds) {
    for (const double deviation : {1.0, 0.1, 1e-5, 1e3, 1e-42}) {
      Page page({kind, 512, 64, 128, 64, 0.037f});
      const std::vector<float> rows = normal_rows(64 * 576, deviation, 7);
      expect_within_bounds(page.format, rows, page.round_trip(rows));
    }
  }
}

TEST(KvFormatBounds, AreNotWider) {
  // Literal bounds, and a value that nearly uses each up.
  const auto bound = [](KvFormatKind kind, double value, double largest) {
    return KvFormat::make({kind, 4, 4, 4, 4, 1}).value().error_bound(0, value, largest);
  };
  EXPECT_EQ(bound(KvFormatKind::bfloat16, 3, 3), 3.0 / 256);
  EXPECT_EQ(bound(KvFormatKind::float16, 3, 3), 3.0 / 2048);
  EXPECT_EQ(bound(KvFormatKind::float16, 65519, 65519), 65519.0 / 2048);
  EXPECT_TRUE(std::isinf(bound(KvFormatKind::float16, 65520, 65520)));
  EXPECT_TRUE(std::isinf(bound(KvFormatKind::bfloat16, kMax, kMax)));
  EXPECT_NEAR(bound(KvFormatKind::fp8_flat, 3, 3), 3.0 / 16, 1e-5);
  EXPECT_NEAR(bound(KvFormatKind::fp8_flat, 1000, 1000), 552, 0.01);
  EXPECT_EQ(bound(KvFormatKind::fp8_scaled, 448, 448), 28);
  EXPECT_EQ(bound(KvFormatKind::fp8_scaled, 0, 448), 0x1p-10);
  EXPECT_EQ(bound(KvFormatKind::fp8_scaled, 0, 449), 0x1p-9);
  EXPECT_NEAR(bound(KvFormatKind::int8_scaled, 1, 127), 0.5, 1e-4);
  EXPECT_EQ(KvFormat::make({KvFormatKind::int8_scaled, 4, 4, 4, 4, 1}).value().error_bound(4, 3, 99), 3.0 / 256);
  Page fp8({KvFormatKind::fp8_scaled, 2, 0, 2, 1, 1});
  EXPECT_EQ(fp8.round_trip({17, 448})[0], 16);  // an error of 1, of 17 / 16
  Page int8({KvFormatKind::int8_scaled, 2, 0, 2, 1, 1});
  EXPECT_EQ(int8.round_trip({2.5f, 127})[0], 2);  // half a step
}

TEST(KvFormatSpecials, ZeroRowsStayZero) {
  for (const KvFormatKind kind : kAllKinds) {
    Page page({kind, 512, 64, 128, 2, 1});
    EXPECT_EQ(page.round_trip(std::vector<float>(2 * 576)), std::vector<float>(2 * 576)) << name_of(kind);
  }
}

TEST(KvFormatSpecials, DenormalRows) {
  const float denormal = std::numeric_limits<float>::denorm_min();
  for (const KvFormatKind kind : kAllKinds) {
    Page page({kind, 8, 8, 4, 1, 1});
    const std::vector<float> rows = {denormal, -denormal, 1e-40f, 0, 1e-39f, -1e-39f, 1e-38f, 1e-41f,
                                     denormal, 1e-40f,    1e-39f, 0, 1e-38f, 0,       0,      0};
    const std::vector<float> back = page.round_trip(rows);
    expect_within_bounds(page.format, rows, back);
    for (const float value : back) EXPECT_LT(std::abs(value), 2e-38f) << name_of(kind);
  }
}

TEST(KvFormatSpecials, TheLargestValuesStayFiniteWhereThereAreScales) {
  for (const KvFormatKind kind : {KvFormatKind::fp8_scaled, KvFormatKind::int8_scaled}) {
    Page page({kind, 4, 0, 4, 1, 1});
    const std::vector<float> rows = {kMax, -kMax, kMax / 2, 1};
    const std::vector<float> back = page.round_trip(rows);
    ASSERT_EQ(back.size(), 4u);
    expect_within_bounds(page.format, rows, back);
    for (const float value : back) EXPECT_TRUE(std::isfinite(value)) << name_of(kind);
  }
}

TEST(KvFormatSpecials, NaNAndInfinityAreNeverMadeToLookGood) {
  const std::vector<float> rows = {1, kNaN, kInf, -kInf, 1, 2, 3, 448, kNaN, kInf, -kInf, 1};
  for (const KvFormatKind kind : kAllKinds) {
    Page page({kind, 8, 4, 4, 1, 1});
    const std::vector<float> back = page.round_trip(rows);
    ASSERT_EQ(back.size(), rows.size());
    const bool eight_bits = page.format.token_bytes() < 24;
    const bool int8 = kind == KvFormatKind::int8_scaled;
    EXPECT_TRUE(int8 ? std::isnan(back[0]) : back[0] == 1) << name_of(kind);
    EXPECT_TRUE(std::isnan(back[1])) << name_of(kind);
    if (eight_bits || page.format.layout().num_scales > 0) {
      EXPECT_TRUE(std::isnan(back[2]) && std::isnan(back[3])) << name_of(kind);
    } else {
      EXPECT_TRUE(back[2] == kInf && back[3] == -kInf) << name_of(kind);
    }
    // The next group knows nothing of it.
    EXPECT_NEAR(back[4], 1, 3) << name_of(kind);
    EXPECT_NEAR(back[7], 448, 1e-3) << name_of(kind);
    EXPECT_TRUE(std::isnan(back[8])) << name_of(kind);
    EXPECT_EQ(back[11], 1) << name_of(kind);
    if (kind != KvFormatKind::fp8_flat) {
      EXPECT_TRUE(back[9] == kInf && back[10] == -kInf) << name_of(kind);
    }
  }
}

TEST(KvFormatSpecials, HalvesOverflowToInfinity) {
  Page page({KvFormatKind::float16, 4, 0, 4, 1, 1});
  EXPECT_EQ(page.round_trip({65519, 65520, -1e30f, 65504}), (std::vector<float>{65504, kInf, -kInf, 65504}));
}

TEST(KvFormatPages, CopyingAPageMovesItsScales) {
  for (const KvFormatKind kind : kAllKinds) {
    Page first({kind, 512, 64, 128, 16, 1});
    const std::vector<float> rows = normal_rows(16 * 576, 1, 8);
    const std::vector<float> stored = first.round_trip(rows);
    Page second({kind, 512, 64, 128, 16, 1});
    second.round_trip(normal_rows(16 * 576, 1e-2, 9));  // what the page held before: other scales
    std::copy_n(first.bytes.begin(), first.format.page_bytes(), second.bytes.begin());
    EXPECT_EQ(second.load(0, 16), stored) << name_of(kind);
  }
}

TEST(KvFormatPages, ScalesLieWhereTheLayoutSays) {
  // All that tells a page of 8 x the rows from one of the rows are its scales.
  for (const KvFormatKind kind : {KvFormatKind::fp8_scaled, KvFormatKind::int8_scaled}) {
    Page page({kind, 512, 0, 128, 4, 1});
    const std::vector<float> stored = page.round_trip(normal_rows(4 * 512, 1, 10));
    const KvFormatLayout& layout = page.format.layout();
    for (int64_t token = 0; token < 4; ++token) {
      for (int64_t scale = 0; scale < layout.num_scales; ++scale) {
        const int64_t at = layout.scale_offset + token * layout.scale_stride + 4 * scale;
        const float eightfold = 8 * page.at<float>(at);
        std::memcpy(page.bytes.data() + at, &eightfold, sizeof(eightfold));
      }
    }
    const std::vector<float> back = page.load(0, 4);
    for (size_t i = 0; i < back.size(); ++i) ASSERT_EQ(back[i], 8 * stored[i]) << name_of(kind);
  }
}

TEST(KvFormatPages, TokensOneByOneAreThePage) {
  for (const KvFormatKind kind : kAllKinds) {
    Page whole({kind, 96, 32, 64, 8, 1});
    Page single({kind, 96, 32, 64, 8, 1});
    const std::vector<float> rows = normal_rows(8 * 128, 1, 11);
    whole.round_trip(rows);
    for (const int64_t token : {5, 2, 7, 0, 3, 6, 1, 4}) {
      single.round_trip({rows.begin() + token * 128, rows.begin() + (token + 1) * 128}, token);
    }
    EXPECT_EQ(single.bytes, whole.bytes) << name_of(kind);
  }
}

TEST(KvFormatPages, RowsOfAnyTypeAndStride) {
  const std::vector<float> values = normal_rows(6, 1, 12);
  for (const KvFormatKind kind : kAllKinds) {
    Page expected({kind, 2, 1, 2, 2, 1});
    std::vector<uint16_t> bits(6);
    std::vector<float> rounded(6);
    for (size_t i = 0; i < 6; ++i) {
      bits[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(values[i]) >> 16);
      rounded[i] = bf16(bits[i]);
    }
    const std::vector<float> back = expected.round_trip(rounded);
    // bfloat16 rows, stored by columns.
    const std::vector<uint16_t> columns = {bits[0], bits[3], bits[1], bits[4], bits[2], bits[5]};
    ConstTensor rows(columns.data(), DType::bfloat16, {2, 3});
    rows.strides = {1, 2};
    Page page({kind, 2, 1, 2, 2, 1});
    ASSERT_TRUE(page.format.quantise(rows, page.bytes, 0).ok());
    EXPECT_EQ(page.bytes, expected.bytes) << name_of(kind);
    std::vector<float> spread(12, -5);
    Tensor out(spread.data(), DType::float32, {2, 3});
    out.strides = {6, 2};
    ASSERT_TRUE(page.format.dequantise(page.bytes, 0, out).ok());
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(spread[2 * i], back[i]);
      EXPECT_EQ(spread[2 * i + 1], -5);
    }
  }
}

}  // namespace
}  // namespace flash_mla
