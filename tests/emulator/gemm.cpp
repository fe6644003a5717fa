#include "gemm.h"

#include "machine/number.h"
#include "machine/tensor_map.h"

namespace emulator::test {
namespace {

struct MapBytes {
  uint8_t bytes[128];
};

MapBytes matrix_map(uint64_t address) {
  machine::TensorMap map;
  map.address = address;
  map.rank = 2;
  map.element_bytes = 2;
  map.swizzle = machine::Swizzle::bytes128;
  map.extents[0] = Gemm::kDepth;
  map.extents[1] = 64;
  map.strides[0] = Gemm::kDepth * 2;
  for (uint32_t i = 0; i < 2; ++i) map.box[i] = 64, map.steps[i] = 1;
  MapBytes bytes{};
  std::memcpy(bytes.bytes, &map, sizeof(map));
  return bytes;
}

}  // namespace

Gemm::Gemm(const std::string& text) : kernel(text, "gemm"), a(64 * kDepth), b(64 * kDepth) {
  uint32_t state = 1;
  for (std::vector<uint16_t>* matrix : {&a, &b}) {
    for (uint16_t& element : *matrix) {
      state = state * 1664525 + 1013904223;
      element = static_cast<uint16_t>(machine::float_to_bfloat16(static_cast<float>(state >> 8) / 0x1p23f - 1));
    }
  }
  c = kernel.memory.allocate(64 * 64 * 4);
  kernel.argument(matrix_map(kernel.upload(a)));
  kernel.argument(matrix_map(kernel.upload(b)));
  kernel.argument(c);
  kernel.argument(kSteps);
  kernel.shape.block = {256, 1, 1};
  kernel.shape.dynamic_shared = 33000;
}

}  // namespace emulator::test
