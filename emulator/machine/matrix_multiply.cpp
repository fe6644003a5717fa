// mma.sync: a warp multiplies 16 x k by k x 8 from registers (PTX ISA 9.0, section 9.7.14.5).
#include <array>

#include "machine/cta.h"
#include "machine/decoder.h"
#include "machine/matrix_element.h"
#include "support/format.h"

namespace emulator::machine {
namespace {

using ptx::Operand;
using ptx::Type;

constexpr uint32_t kRows = 16, kColumns = 8;

// op.kind: element of a, op.count: of b, op.value: k; flags 1: sums of f16. list: d, a, b and c, one after the other.
struct Shape {
  uint32_t k, a, b, sums;  // registers of each

  explicit Shape(const Op& op)
      : k(static_cast<uint32_t>(op.value)),
        a(k * bytes_of(static_cast<MatrixElement>(op.kind)) / 8),
        b(a / 2),
        sums(op.flags != 0 ? 2 : 4) {}
};

/// Calls f(lane, place in the register, line, k) for register q of a factor whose line `lane / 4` is first: a's lines
/// are rows, in two halves of 8; b's are columns.
template <class F>
void each_element(MatrixElement type, uint32_t q, bool two_halves, F f) {
  const uint32_t per_register = 4 / bytes_of(type);
  const uint32_t half = two_halves ? q & 1 : 0, step = two_halves ? q >> 1 : q;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    for (uint32_t i = 0; i < per_register; ++i) {
      f(lane, i, lane / 4 + 8 * half, lane % 4 * per_register + i + 4 * per_register * step);
    }
  }
}

float value_in(MatrixElement type, uint32_t lane_bits, uint32_t i) {
  const uint32_t bits = 8 * bytes_of(type);
  return element_value(type, bits == 32 ? lane_bits : lane_bits >> (bits * i) & ((1u << bits) - 1));
}

float sum_in(Warp& warp, const Op& op, size_t first, uint32_t row, uint32_t column) {
  const uint32_t lane = row % 8 * 4 + column / 2, half = row / 8, odd = column % 2;
  if (op.flags == 0) return warp.lanes<float>(op.list[first + 2 * half + odd])[lane];
  return half_to_float(warp.lanes<uint32_t>(op.list[first + half])[lane] >> (16 * odd) & 0xffff);
}

Outcome multiply(Warp& warp, const Op& op, uint32_t mask) {
  if (mask != kAllLanes) warp.fault(op, Finding::operand, "mma needs all lanes of the warp");
  const Shape shape(op);
  const size_t a_at = shape.sums, b_at = a_at + shape.a, c_at = b_at + shape.b;
  for (size_t i = a_at; i < op.list.size(); ++i) {
    if (warp.written(op.list[i]) != kAllLanes)
      warp.report(op, Finding::uninitialised, "a register is read before it is written");
  }
  std::array<std::array<float, 32>, kRows> a{};
  std::array<std::array<float, 32>, kColumns> b{};
  const auto a_type = static_cast<MatrixElement>(op.kind), b_type = static_cast<MatrixElement>(op.count);
  for (uint32_t q = 0; q < shape.a; ++q) {
    const uint32_t* const lanes = warp.lanes<uint32_t>(op.list[a_at + q]);
    each_element(a_type, q, true, [&](uint32_t lane, uint32_t i, uint32_t row, uint32_t k) {
      a[row][k] = value_in(a_type, lanes[lane], i);
    });
  }
  for (uint32_t q = 0; q < shape.b; ++q) {
    const uint32_t* const lanes = warp.lanes<uint32_t>(op.list[b_at + q]);
    each_element(b_type, q, false, [&](uint32_t lane, uint32_t i, uint32_t column, uint32_t k) {
      b[column][k] = value_in(b_type, lanes[lane], i);
    });
  }
  std::array<std::array<float, kColumns>, kRows> sums{};
  for (uint32_t row = 0; row < kRows; ++row) {
    for (uint32_t column = 0; column < kColumns; ++column) {
      float sum = sum_in(warp, op, c_at, row, column);
      for (uint32_t k = 0; k < shape.k; ++k) sum += a[row][k] * b[column][k];
      sums[row][column] = sum;
    }
  }
  for (uint32_t i = 0; i < shape.sums; ++i) {
    uint32_t* const d = warp.lanes<uint32_t>(op.list[i]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint32_t column = lane % 4 * 2;
      if (op.flags == 0) {
        d[lane] = std::bit_cast<uint32_t>(sums[lane / 4 + i / 2 * 8][column + i % 2]);
      } else {
        const auto& row = sums[lane / 4 + i * 8];
        d[lane] = float_to_half(row[column]) | float_to_half(row[column + 1]) << 16;
      }
    }
    warp.mark_written(op.list[i], kAllLanes);
  }
  warp.cta->launch().counters.tensor_macs += uint64_t{kRows} * kColumns * shape.k;
  return Outcome::next;
}

void add_registers(Decoder& d, size_t operand, uint32_t count, bool written) {
  const Operand& list = d.operand(operand);
  if (list.kind != Operand::Kind::list || list.parts.size() != count)
    d.fail(format("{} registers are expected", count));
  for (const Operand& part : list.parts) {
    d.op.list.push_back(written ? d.destination(part, 32) : d.source(part, 32));
    if (d.op.list.back() == kNoSlot) d.unsupported();
  }
}

void decode_multiply(Decoder& d) {
  if (!d.take("sync") || !d.take("aligned")) d.unsupported();
  constexpr uint32_t kDepths[] = {4, 8, 16, 32};
  const uint32_t k = kDepths[d.take_one_of({"m16n8k4", "m16n8k8", "m16n8k16", "m16n8k32"})];
  if (d.take_first_of({"row", "col"}) != 0 || d.take_first_of({"row", "col"}) != 1) d.unsupported();
  // Left are the types of d, a, b and c.
  const Type sums = d.take_type();
  const MatrixElement a = take_element(d), b = take_element(d);
  if (d.take_type() != sums || (sums != Type::f32 && sums != Type::f16)) d.unsupported();
  const uint32_t bytes = bytes_of(a);
  if (bytes != bytes_of(b) || (bytes > 1 && a != b)) d.unsupported();
  if (bytes * k != 32 && bytes * k != 16) d.unsupported();
  if (bytes == 1 && k != 32) d.unsupported();
  if (sums == Type::f16 && a != MatrixElement::f16) d.unsupported();
  d.op.kind = static_cast<uint8_t>(a);
  d.op.count = static_cast<uint8_t>(b);
  d.op.value = k;
  d.op.flags = sums == Type::f16 ? 1 : 0;
  d.op.tensor = false;
  d.op.gather = Gather::live;
  d.op.run = multiply;
  d.expect_operands(4);
  const Shape shape(d.op);
  add_registers(d, 0, shape.sums, true);
  add_registers(d, 1, shape.a, false);
  add_registers(d, 2, shape.b, false);
  add_registers(d, 3, shape.sums, false);
}

}  // namespace

void add_matrix_multiply(DecodeTable& table) {
  table["mma"] = decode_multiply;
}

}  // namespace emulator::machine
