// Elements of the tensor cores' factors.
#pragma once

#include "machine/decoder.h"
#include "machine/eight_bits.h"
#include "machine/number.h"

namespace emulator::machine {

enum class MatrixElement : uint8_t { bf16, f16, tf32, e4m3, e5m2 };

inline uint32_t bytes_of(MatrixElement type) {
  return type == MatrixElement::tf32 ? 4 : type >= MatrixElement::e4m3 ? 1 : 2;
}

inline float element_value(MatrixElement type, uint32_t bits) {
  switch (type) {
    case MatrixElement::bf16:
      return bfloat16_to_float(bits);
    case MatrixElement::f16:
      return half_to_float(bits);
    case MatrixElement::tf32:
      // The lower 13 bits are none of the format's (PTX ISA 9.0, section 5.2.3).
      return std::bit_cast<float>(bits & 0xffffe000u);
    default:
      return from_eight_bits(bits, type == MatrixElement::e5m2);
  }
}

/// The next of the opcode's element types.
inline MatrixElement take_element(Decoder& d) {
  return static_cast<MatrixElement>(d.take_first_of({"bf16", "f16", "tf32", "e4m3", "e5m2"}));
}

}  // namespace emulator::machine
