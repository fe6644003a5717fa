// mma.sync, its fragments laid out as the figures of the PTX ISA 9.0, section 9.7.14.5 have them: small integers, so
// that sums are exact.
#include <gtest/gtest.h>

#include <bit>
#include <ostream>

#include "kernel.h"
#include "machine/number.h"

namespace emulator::test {
namespace {

struct Product {
  const char* name;
  const char* types;  // of d, a, b and c
  uint32_t k, bits;   // of an element
  bool half_sums;
};

std::ostream& operator<<(std::ostream& out, const Product& p) {
  return out << p.name;
}

uint32_t encoded(const Product& p, int value) {
  const auto number = static_cast<float>(value);
  if (p.bits == 32) return std::bit_cast<uint32_t>(number) | 0xfff;  // tf32: the lower 13 bits do not count
  if (p.bits == 16) {
    return std::string(p.types).find(".bf16") != std::string::npos ? machine::float_to_bfloat16(number)
                                                                   : machine::float_to_half(number);
  }
  const uint32_t sign = value < 0 ? 0x80 : 0, exponent = std::abs(value) == 2 ? 1 : 0;
  return value == 0 ? 0 : sign | (7 + exponent) << 3;  // e4m3
}

class Mma : public testing::TestWithParam<Product> {};

TEST_P(Mma, MultipliesExactly) {
  const Product& p = GetParam();
  const uint32_t per_register = 32 / p.bits, a_registers = 16 * p.k / 32 / per_register, b_registers = a_registers / 2;
  const uint32_t sum_registers = p.half_sums ? 2 : 4;
  constexpr int kValues[] = {0, 1, 2, -1, -2, 1, 0, 2};
  std::vector<int> a(16 * p.k), b(8 * p.k), c(16 * 8);
  uint32_t state = 5;
  for (auto* const matrix : {&a, &b, &c}) {
    for (int& value : *matrix) value = kValues[(state = state * 1664525 + 1013904223) >> 29];
  }
  // A lane's registers: four of a, two of b, four of c.
  std::vector<uint32_t> input(32 * 10);
  const auto put = [&](uint32_t lane, uint32_t reg, uint32_t element, uint32_t bits) {
    input[lane * 10 + reg] |= bits << (element * p.bits);
  };
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t group = lane / 4, in_group = lane % 4;
    for (uint32_t e = 0; e < per_register; ++e) {
      for (uint32_t reg = 0; reg < a_registers; ++reg) {
        const uint32_t row = group + (reg % 2 == 1 ? 8 : 0);
        const uint32_t k = in_group * per_register + e + (reg >= 2 ? 4 * per_register : 0);
        put(lane, reg, e, encoded(p, a[row * p.k + k]));
      }
      for (uint32_t reg = 0; reg < b_registers; ++reg) {
        const uint32_t k = in_group * per_register + e + reg * 4 * per_register;
        put(lane, 4 + reg, e, encoded(p, b[group * p.k + k]));
      }
    }
    for (uint32_t i = 0; i < 4; ++i) {
      const auto value = static_cast<float>(c[(group + i / 2 * 8) * 8 + in_group * 2 + i % 2]);
      if (p.half_sums) {
        input[lane * 10 + 6 + i / 2] |= machine::float_to_half(value) << (16 * (i % 2));
      } else {
        input[lane * 10 + 6 + i] = std::bit_cast<uint32_t>(value);
      }
    }
  }
  const auto list = [](uint32_t first, uint32_t count) {
    std::string text = "{";
    for (uint32_t i = 0; i < count; ++i) text += (i == 0 ? "%r" : ", %r") + std::to_string(first + i);
    return text + "}";
  };
  std::string body = "mov.u32 %r1, %tid.x; mad.wide.u32 %d1, %r1, 40, %in; mad.wide.u32 %d2, %r1, 16, %out;\n";
  for (uint32_t i = 0; i < 10; ++i)
    body += "ld.global.u32 %r" + std::to_string(10 + i) + ", [%d1+" + std::to_string(4 * i) + "];\n";
  body += "mma.sync.aligned.m16n8k" + std::to_string(p.k) + ".row.col" + p.types + " " + list(30, sum_registers) +
          ", " + list(10, a_registers) + ", " + list(14, b_registers) + ", " + list(16, sum_registers) + ";\n";
  for (uint32_t i = 0; i < sum_registers; ++i)
    body += "st.global.u32 [%d2+" + std::to_string(4 * i) + "], %r" + std::to_string(30 + i) + ";\n";
  Result result;
  const auto got = evaluate<uint32_t>(body, input, 32 * 4, &result);
  ASSERT_TRUE(result.clean()) << result.text();
  EXPECT_EQ(result.counters.tensor_macs, 16 * 8 * p.k);
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t column = 0; column < 8; ++column) {
      int sum = c[row * 8 + column];
      for (uint32_t k = 0; k < p.k; ++k) sum += a[row * p.k + k] * b[column * p.k + k];
      const uint32_t lane = row % 8 * 4 + column / 2, half = row / 8, odd = column % 2;
      const float value = p.half_sums ? machine::half_to_float(got[lane * 4 + half] >> (16 * odd) & 0xffff)
                                      : std::bit_cast<float>(got[lane * 4 + 2 * half + odd]);
      ASSERT_EQ(value, static_cast<float>(sum)) << "row " << row << " column " << column;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Emulator, Mma,
                         testing::Values(Product{"bf16_k16", ".f32.bf16.bf16.f32", 16, 16, false},
                                         Product{"bf16_k8", ".f32.bf16.bf16.f32", 8, 16, false},
                                         Product{"f16_k16", ".f32.f16.f16.f32", 16, 16, false},
                                         Product{"f16_k8", ".f32.f16.f16.f32", 8, 16, false},
                                         Product{"f16_k16_half_sums", ".f16.f16.f16.f16", 16, 16, true},
                                         Product{"tf32_k8", ".f32.tf32.tf32.f32", 8, 32, false},
                                         Product{"tf32_k4", ".f32.tf32.tf32.f32", 4, 32, false},
                                         Product{"e4m3_k32", ".f32.e4m3.e4m3.f32", 32, 8, false}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(MmaRefusals, WhatTheManualDoesNotHave) {
  for (const char* const opcode :
       {"m16n8k16.row.col.f32.tf32.tf32.f32", "m16n8k8.col.row.f32.f16.f16.f32", "m16n8k16.row.col.f16.bf16.bf16.f16",
        "m16n8k16.row.col.f32.bf16.f16.f32", "m16n8k16.row.col.f32.e4m3.e4m3.f32"}) {
    Result result;
    evaluate<uint32_t>("mma.sync.aligned." + std::string(opcode) +
                           " {%f1, %f2, %f3, %f4}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};",
                       std::vector<uint32_t>(1), 1, &result);
    EXPECT_NE(result.refusal.find("is not supported"), std::string::npos) << opcode << ": " << result.text();
  }
}

}  // namespace
}  // namespace emulator::test
