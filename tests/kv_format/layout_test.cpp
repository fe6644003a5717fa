// What a page of each format looks like, and what is refused.
#include <gtest/gtest.h>

#include <limits>

#include "reference.h"

namespace flash_mla {
namespace {

KvFormatLayout layout_of(KvFormatKind kind, int64_t page_size = 64) {
  KvFormatSpec spec;
  spec.kind = kind;
  spec.page_size = page_size;
  return KvFormat::make(spec).value().layout();
}

TEST(KvFormatLayout, BytesOfAToken) {
  EXPECT_EQ(layout_of(KvFormatKind::bfloat16).token_bytes, 1152);
  EXPECT_EQ(layout_of(KvFormatKind::float16).token_bytes, 1152);
  EXPECT_EQ(layout_of(KvFormatKind::fp8_flat).token_bytes, 576);
  EXPECT_EQ(layout_of(KvFormatKind::fp8_scaled).token_bytes, 656);
  EXPECT_EQ(layout_of(KvFormatKind::int8_scaled).token_bytes, 656);
  EXPECT_EQ(layout_of(KvFormatKind::bfloat16).page_bytes, 73728);
  EXPECT_EQ(layout_of(KvFormatKind::fp8_scaled).page_bytes, 41984);
  EXPECT_EQ(layout_of(KvFormatKind::int8_scaled).page_bytes, 41984);
}

TEST(KvFormatLayout, ScalesBesideTheirToken) {
  const KvFormatLayout layout = layout_of(KvFormatKind::fp8_scaled);
  EXPECT_EQ(layout.token_stride, 656);
  EXPECT_EQ(layout.num_scales, 4);
  EXPECT_EQ(layout.scale_offset, 512);
  EXPECT_EQ(layout.scale_stride, 656);
  EXPECT_EQ(layout.rope_offset, 528);
}

TEST(KvFormatLayout, ScalesAtTheEndOfThePage) {
  const KvFormatLayout layout = layout_of(KvFormatKind::int8_scaled);
  EXPECT_EQ(layout.token_stride, 640);
  EXPECT_EQ(layout.num_scales, 4);
  EXPECT_EQ(layout.scale_offset, 64 * 640);
  EXPECT_EQ(layout.scale_stride, 16);
  EXPECT_EQ(layout.rope_offset, 512);
}

TEST(KvFormatLayout, OtherWidthsAndGroups) {
  const auto token_bytes = [](KvFormatSpec spec) { return KvFormat::make(spec).value().token_bytes(); };
  EXPECT_EQ(token_bytes({KvFormatKind::fp8_scaled, 256, 32, 128, 64, 1}), 256 + 8 + 64);
  EXPECT_EQ(token_bytes({KvFormatKind::fp8_scaled, 129, 0, 128, 64, 1}), 129 + 8);
  EXPECT_EQ(token_bytes({KvFormatKind::int8_scaled, 1, 0, 1024, 1, 1}), 1 + 4);
  EXPECT_EQ(token_bytes({KvFormatKind::fp8_flat, 128, 0, 128, 64, 1}), 128);
  EXPECT_EQ(token_bytes({KvFormatKind::bfloat16, 256, 64, 128, 16, 1}), 640);
}

TEST(KvFormatLayout, Names) {
  EXPECT_STREQ(name_of(KvFormatKind::bfloat16), "bfloat16");
  EXPECT_STREQ(name_of(KvFormatKind::float16), "float16");
  EXPECT_STREQ(name_of(KvFormatKind::fp8_flat), "fp8_flat");
  EXPECT_STREQ(name_of(KvFormatKind::fp8_scaled), "fp8_scaled");
  EXPECT_STREQ(name_of(KvFormatKind::int8_scaled), "int8_scaled");
  EXPECT_STREQ(name_of(static_cast<KvFormatKind>(9)), "unknown");
}

TEST(KvFormatArguments, Specs) {
  const auto message = [](auto&& change) {
    KvFormatSpec spec;
    change(spec);
    const Status status = KvFormat::make(spec).status();
    EXPECT_EQ(status.code(), StatusCode::invalid_argument);
    return status.message();
  };
  using Spec = KvFormatSpec;
  EXPECT_EQ(message([](Spec& spec) { spec.kind = static_cast<KvFormatKind>(5); }),
            "kind is 5; expected 0 (bfloat16) to 4 (int8_scaled)");
  EXPECT_EQ(message([](Spec& spec) { spec.kind = static_cast<KvFormatKind>(-1); }),
            "kind is -1; expected 0 (bfloat16) to 4 (int8_scaled)");
  EXPECT_EQ(message([](Spec& spec) { spec.latent = 0; }), "latent is 0; expected 1 to 1024");
  EXPECT_EQ(message([](Spec& spec) { spec.latent = 1025; }), "latent is 1025; expected 1 to 1024");
  EXPECT_EQ(message([](Spec& spec) { spec.rope = -1; }), "rope is -1; expected 0 to 1024");
  EXPECT_EQ(message([](Spec& spec) { spec.group = 0; }), "group is 0; expected 1 to 1024");
  EXPECT_EQ(message([](Spec& spec) { spec.page_size = 0; }), "page_size is 0; expected 1 to 1048576");
  EXPECT_EQ(message([](Spec& spec) { spec.page_size = std::numeric_limits<int64_t>::max(); }),
            "page_size is 9223372036854775807; expected 1 to 1048576");
  for (const float scale : {0.0f, -1.0f, INFINITY, NAN, 1e38f, 1e-40f}) {
    EXPECT_NE(message([&](Spec& spec) {
                spec.kind = KvFormatKind::fp8_flat, spec.scale = scale;
              }).find("; expected a finite value above 0 whose inverse and 448-fold are finite"),
              std::string::npos)
        << scale;
  }
}

TEST(KvFormatArguments, RowsAndPages) {
  Page page({KvFormatKind::fp8_scaled, 8, 4, 4, 2, 1});
  const std::vector<std::byte> before = page.bytes;
  std::vector<float> rows(3 * 12, 1.0f);
  const auto quantise = [&](const ConstTensor& tensor, std::span<std::byte> bytes, int64_t first) {
    return page.format.quantise(tensor, bytes, first).message();
  };
  const ConstTensor two(rows.data(), DType::float32, {2, 12});
  EXPECT_EQ(quantise({}, page.bytes, 0), "rows is absent; expected [tokens, latent + rope]");
  EXPECT_EQ(quantise({rows.data(), DType::float32, {2, 11}}, page.bytes, 0),
            "rows has shape [2, 11]; expected [tokens, latent + rope] = [any, 12]");
  EXPECT_EQ(quantise({rows.data(), DType::int32, {2, 12}}, page.bytes, 0),
            "rows has dtype int32; expected float32, bfloat16 or float16");
  EXPECT_EQ(quantise(two, {}, 0), "page is null; expected 48 bytes");
  EXPECT_EQ(quantise(two, std::span(page.bytes).first(47), 0), "page has 47 bytes; expected 48");
  EXPECT_EQ(quantise(two, page.bytes, -1), "first_token is -1; expected 0 to 2");
  EXPECT_EQ(quantise(two, page.bytes, 3), "first_token is 3; expected 0 to 2");
  EXPECT_EQ(quantise(two, page.bytes, 1),
            "rows holds 2 tokens; expected at most 1, from first_token = 1 to the end of a page of 2");
  EXPECT_EQ(page.bytes, before);

  const std::vector<float> untouched = rows;
  EXPECT_EQ(page.format.dequantise(page.bytes, 0, {rows.data(), DType::float32, {3, 12}}).message(),
            "rows holds 3 tokens; expected at most 2, from first_token = 0 to the end of a page of 2");
  Tensor overlapping(rows.data(), DType::float32, {2, 12});
  overlapping.strides[0] = 6;
  EXPECT_EQ(page.format.dequantise(page.bytes, 0, overlapping).message(),
            "rows has stride 6 on axis 0; its elements overlap, expected 12 or more");
  EXPECT_EQ(rows, untouched);
  EXPECT_EQ(quantise({rows.data(), DType::float32, {0, 12}}, page.bytes, 2), "");  // no tokens are no error
}

}  // namespace
}  // namespace flash_mla
