// wgmma with every layout of its operands (PTX ISA 9.0, section 9.7.15.5): small integers, so that sums are exact.
#include <gtest/gtest.h>

#include <ostream>
#include <sstream>

#include "kernel.h"
#include "machine/number.h"

namespace emulator::test {
namespace {

constexpr uint32_t kM = 64, kN = 64;

struct Layout {
  uint32_t swizzle;  // bytes: 0, 32, 64 or 128
  bool along_rows;   // MN-major instead of K-major
};

struct Product {
  const char* type;  // bf16, f16, tf32, e4m3, e5m2
  bool a_in_registers;
  Layout a, b;
  bool half_sums = false;
};

std::ostream& operator<<(std::ostream& out, const Product& p) {
  const auto layout = [&](const Layout& l) { out << '_' << l.swizzle << (l.along_rows ? "_rows" : "_k"); };
  out << p.type << "_a";
  p.a_in_registers ? void(out << "_registers") : layout(p.a);
  out << "_b";
  layout(p.b);
  if (p.half_sums) out << "_half_sums";
  return out;
}

uint32_t element_bytes(const Product& p) {
  return p.type[0] == 'e' ? 1 : p.type[0] == 't' ? 4 : 2;
}

uint32_t encoded(const Product& p, int value) {
  const auto number = static_cast<float>(value);
  if (std::string(p.type) == "bf16") return machine::float_to_bfloat16(number);
  if (std::string(p.type) == "f16") return machine::float_to_half(number);
  // The lower 13 bits are none of the format's.
  if (std::string(p.type) == "tf32") return std::bit_cast<uint32_t>(number) | 0x1234;
  // Powers of two and 0 only: sign, exponent, no mantissa.
  if (value == 0) return 0;
  const uint32_t sign = value < 0 ? 0x80 : 0;
  const auto exponent = static_cast<uint32_t>(std::abs(value) == 4 ? 2 : std::abs(value) == 2 ? 1 : 0);
  return std::string(p.type) == "e4m3" ? sign | (7 + exponent) << 3 : sign | (15 + exponent) << 2;
}

/// Offset and descriptor fields of a matrix, from the manual's figures of the canonical layouts.
struct Placed {
  uint32_t leading, stride;
};
Placed fields(const Layout& layout) {
  if (layout.swizzle == 0) return {1024, 128};  // core matrices: 1024 bytes between columns, 128 between 8 rows
  if (layout.along_rows) return {2048, 8 * layout.swizzle};
  return {16, 8 * layout.swizzle};
}
uint32_t offset_of(const Layout& layout, uint32_t row, uint32_t k, uint32_t size) {
  const Placed f = fields(layout);
  if (layout.swizzle == 0) {
    if (layout.along_rows) return row / 8 * f.stride + k / 8 * f.leading + k % 8 * 16 + row % 8 * 2;
    return row / 8 * f.stride + k * size / 16 * f.leading + row % 8 * 16 + k * size % 16;
  }
  // In an atom of 8 lines of `swizzle` bytes, line r has its 16-byte chunks exchanged by a XOR: with r for 128 bytes,
  // with r / 2 for 64, with r / 4 for 32.
  const uint32_t line = layout.along_rows ? k % 8 : row % 8;
  const uint32_t in_line = layout.along_rows ? row * 2 % layout.swizzle : k * size;
  const uint32_t twist = line / (128 / layout.swizzle);
  const uint32_t atom =
      layout.along_rows ? row * 2 / layout.swizzle * f.leading + k / 8 * f.stride : row / 8 * f.stride;
  return atom + line * layout.swizzle + ((in_line / 16) ^ twist) * 16 + in_line % 16;
}
std::string descriptor(const Layout& layout, uint32_t address) {
  const Placed f = fields(layout);
  const uint64_t mode = layout.swizzle == 128 ? 1 : layout.swizzle == 64 ? 2 : layout.swizzle == 32 ? 3 : 0;
  return std::to_string(
      static_cast<int64_t>(mode << 62 | uint64_t{f.stride / 16} << 32 | uint64_t{f.leading / 16} << 16 | address / 16));
}

class Wgmma : public testing::TestWithParam<Product> {};

TEST_P(Wgmma, MultipliesExactly) {
  const Product& p = GetParam();
  const uint32_t size = element_bytes(p), k_count = 32 / size;
  const int most = size == 1 ? 0 : 5;
  std::vector<int> a(kM * k_count), b(kN * k_count);
  uint32_t state = 7;
  for (auto* matrix : {&a, &b}) {
    for (int& value : *matrix) {
      state = state * 1664525 + 1013904223;
      constexpr int kPowers[] = {0, 1, 2, 4, -1, -2, -4, 1};
      value = most == 0 ? kPowers[state >> 29] : static_cast<int>(state >> 24) % (2 * most + 1) - most;
    }
  }
  // The image of shared memory: a from 0, b from 16384; shared memory starts at 1024.
  std::vector<uint8_t> image(32768, 0);
  const auto place = [&](const Layout& layout, uint32_t start, uint32_t row, uint32_t k, int value) {
    const uint32_t bits = encoded(p, value), at = start + offset_of(layout, row, k, size);
    for (uint32_t i = 0; i < size; ++i) image.at(at + i) = static_cast<uint8_t>(bits >> (8 * i));
  };
  std::vector<uint32_t> registers(4 * 128);
  for (uint32_t row = 0; row < kM; ++row) {
    for (uint32_t k = 0; k < k_count; ++k) {
      place(p.a, 0, row, k, a[row * k_count + k]);
      // 9.7.15.5.1, figures of the fragments of a: thread 4 (row % 8) + byte / 4 % 4 of its warp.
      const uint32_t byte = k * size;
      const uint32_t thread = row / 16 * 32 + row % 8 * 4 + byte / 4 % 4;
      const uint32_t reg = row / 8 % 2 + byte / 16 * 2;
      registers[thread * 4 + reg] |= encoded(p, a[row * k_count + k]) << (8 * (byte % 4));
    }
  }
  for (uint32_t row = 0; row < kN; ++row) {
    for (uint32_t k = 0; k < k_count; ++k) place(p.b, 16384, row, k, b[row * k_count + k]);
  }

  std::string accumulators, stores;
  const uint32_t num_sums = p.half_sums ? kN / 4 : kN / 2;
  for (uint32_t i = 0; i < num_sums; ++i) {
    const std::string sum = p.half_sums ? "%r" + std::to_string(20 + i) : "%f" + std::to_string(i);
    accumulators += (i == 0 ? "{" : ", ") + sum;
    stores += "st.global.b32 [%d5+" + std::to_string(4 * i) + "], " + sum + ";\n";
  }
  const std::string flags = size != 2 ? ""
                                      : (p.a_in_registers ? ""
                                         : p.a.along_rows ? ", 1"
                                                          : ", 0") +
                                            std::string(p.b.along_rows ? ", 1" : ", 0");
  const std::string text =
      kernel_text(std::string(R"(
  .shared .align 1024 .b8 image[32768];
  mov.u32 %r1, %tid.x;
  add.u64 %d1, %in, 2048;
  mul.wide.u32 %d2, %r1, 16;
  add.u64 %d3, %d1, %d2;
  add.u64 %d6, %in, %d2;
  ld.global.v4.u32 {%r10, %r11, %r12, %r13}, [%d6];
  shl.b32 %r2, %r1, 4;
  mov.u32 %r3, image;
  add.u32 %r3, %r3, %r2;
  mov.u32 %r4, 0;
copy:
  ld.global.v4.u32 {%r5, %r6, %r7, %r8}, [%d3];
  st.shared.v4.u32 [%r3], {%r5, %r6, %r7, %r8};
  add.u64 %d3, %d3, 2048;
  add.u32 %r3, %r3, 2048;
  add.u32 %r4, %r4, 1;
  setp.lt.u32 %p1, %r4, 16;
  @%p1 bra copy;
  fence.proxy.async.shared::cta;
  bar.sync 0;
  setp.ne.u32 %p2, 0, 0;
  wgmma.fence.sync.aligned;
  wgmma.mma_async.sync.aligned.m64n64k)") +
                  std::to_string(k_count) + (p.half_sums ? ".f16." : ".f32.") + p.type + "." + p.type + " " +
                  accumulators + "}, " + (p.a_in_registers ? "{%r10, %r11, %r12, %r13}" : descriptor(p.a, 1024)) +
                  ", " + descriptor(p.b, 1024 + 16384) + ", %p2, 1, -1" + flags + R"(;
  wgmma.commit_group.sync.aligned;
  wgmma.wait_group.sync.aligned 0;
  mul.wide.u32 %d4, %r1, 128;
  add.u64 %d5, %out, %d4;
)" + stores);
  Kernel kernel(text);
  kernel.shape.block = {128, 1, 1};
  std::vector<uint8_t> input(2048);
  std::memcpy(input.data(), registers.data(), 2048);
  input.insert(input.end(), image.begin(), image.end());
  const uint64_t out = kernel.memory.allocate(kM * kN * 4);
  kernel.argument(out);
  kernel.argument(kernel.upload(input));
  const Result result = kernel.run();
  ASSERT_TRUE(result.clean()) << result.text();
  const auto got = kernel.download<uint32_t>(out, kM * kN);
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t i = 0; i < kN / 2; ++i) {
      const uint32_t row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
      const uint32_t column = i / 4 * 8 + thread % 4 * 2 + i % 2;
      int sum = 0;
      for (uint32_t k = 0; k < k_count; ++k)
        sum -= a[row * k_count + k] * b[column * k_count + k];  // imm-scale-b is -1
      // Sums of f16 lie two in a register.
      const uint32_t half = got[thread * 32 + i / 2] >> (16 * (i % 2)) & 0xffff;
      const float value = p.half_sums ? machine::half_to_float(half) : std::bit_cast<float>(got[thread * 32 + i]);
      ASSERT_EQ(value, static_cast<float>(sum)) << "row " << row << " column " << column;
    }
  }
}

std::vector<Product> products() {
  std::vector<Product> all;
  for (const uint32_t swizzle : {0u, 32u, 64u, 128u}) {
    for (const bool rows : {false, true}) {
      const Layout layout{swizzle, rows};
      all.push_back({"bf16", false, layout, {128, false}});
      all.push_back({"bf16", false, {128, false}, layout});
      all.push_back({"f16", true, {0, false}, layout});
    }
    all.push_back({"e4m3", false, {swizzle, false}, {swizzle, false}});
    all.push_back({"e5m2", true, {0, false}, {swizzle, false}});
    all.push_back({"tf32", false, {swizzle, false}, {128, false}});
    all.push_back({"tf32", true, {0, false}, {swizzle, false}});
    all.push_back({"f16", false, {swizzle, false}, {swizzle, true}, true});
    all.push_back({"e4m3", true, {0, false}, {swizzle, false}, true});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Emulator, Wgmma, testing::ValuesIn(products()), [](const auto& each) {
  std::ostringstream name;
  name << each.index << '_' << each.param;
  return name.str();
});

}  // namespace
}  // namespace emulator::test
