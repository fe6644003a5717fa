// cuTensorMapEncodeTiled with the driver's own checks of its arguments (CUDA driver API, section Tensor Map Object
// Management).
#include "machine/tensor_map.h"

#include <cstring>

#include "driver/state.h"
#include "support/format.h"

using namespace emulator::driver;
using emulator::format;
namespace machine = emulator::machine;

namespace {

template <class... Args>
CUresult invalid(fmt::format_string<Args...> text, Args&&... args) {
  return fail(CUDA_ERROR_INVALID_VALUE, emulator::format_arguments(text, fmt::make_format_args(args...)));
}

uint32_t bytes_of(int type) {
  constexpr uint32_t kBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  return type < 0 || type > CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ ? 0 : kBytes[type];
}

CUresult encode(CUtensorMap* out, int type, uint32_t rank, void* address, const uint64_t* extents,
                const uint64_t* strides, const uint32_t* box, const uint32_t* steps, int interleave, int swizzle,
                int fill) {
  if (out == nullptr || extents == nullptr || box == nullptr || steps == nullptr || (rank > 1 && strides == nullptr)) {
    return invalid("a pointer is null");
  }
  if (reinterpret_cast<uintptr_t>(out) % 64 != 0) return invalid("the tensor map is not aligned to 64 bytes");
  machine::TensorMap map;
  map.element_bytes = static_cast<uint8_t>(bytes_of(type));
  if (map.element_bytes == 0) return invalid("data type {} is not supported", type);
  if (rank < 1 || rank > 5) return invalid("rank {}; 1 to 5 are allowed", rank);
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) return invalid("interleave {} is not supported", interleave);
  if (swizzle < CU_TENSOR_MAP_SWIZZLE_NONE || swizzle > CU_TENSOR_MAP_SWIZZLE_128B)
    return invalid("swizzle {} is not supported", swizzle);
  if (fill < 0 || fill > CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA) return invalid("fill {}", fill);
  const auto base = reinterpret_cast<uint64_t>(address);
  if (base == 0 || base % 16 != 0) return invalid("address {:#x} is null or no multiple of 16", base);
  map.address = base;
  map.rank = static_cast<uint8_t>(rank);
  map.type = static_cast<uint8_t>(type);
  map.swizzle = static_cast<machine::Swizzle>(swizzle);
  map.nan_fill = static_cast<uint8_t>(fill);
  uint64_t elements = 1;
  for (uint32_t i = 0; i < rank; ++i) {
    if (extents[i] == 0 || extents[i] > (uint64_t{1} << 32))
      return invalid("extent {} is {}; 1 to 2^32 are allowed", i, extents[i]);
    if (box[i] == 0 || box[i] > 256) return invalid("box {} is {}; 1 to 256 are allowed", i, box[i]);
    if (steps[i] == 0 || steps[i] > 8) return invalid("element stride {} is {}; 1 to 8 are allowed", i, steps[i]);
    if (i > 0 && (strides[i - 1] % 16 != 0 || strides[i - 1] >= (uint64_t{1} << 40))) {
      return invalid("stride {} is {}; a multiple of 16 below 2^40 is allowed", i, strides[i - 1]);
    }
    map.extents[i] = extents[i];
    map.box[i] = static_cast<uint16_t>(box[i]);
    map.steps[i] = static_cast<uint8_t>(steps[i]);
    if (i > 0) map.strides[i - 1] = strides[i - 1];
    elements *= box[i];
  }
  if (steps[0] != 1) return invalid("element stride 0 is {}; the emulator supports 1", steps[0]);
  const uint64_t row = uint64_t{box[0]} * map.element_bytes;
  if (row % 16 != 0) return invalid("box 0 has {} bytes; a multiple of 16 is allowed", row);
  if (swizzle != CU_TENSOR_MAP_SWIZZLE_NONE && row > (16ull << swizzle)) {
    return invalid("box 0 has {} bytes; the swizzle allows {}", row, 16ull << swizzle);
  }
  if (elements * map.element_bytes > 232448)
    return invalid("the box has {} bytes, more than shared memory", elements * map.element_bytes);
  std::memset(out, 0, sizeof(*out));
  std::memcpy(out, &map, sizeof(map));
  return CUDA_SUCCESS;
}

}  // namespace

EMULATOR_EXPORT CUresult cuTensorMapEncodeTiled(CUtensorMap* map, int type, uint32_t rank, void* address,
                                                const uint64_t* extents, const uint64_t* strides, const uint32_t* box,
                                                const uint32_t* element_strides, int interleave, int swizzle, int,
                                                int fill) {
  return enter(Needs::driver, [&](State&) {
    return encode(map, type, rank, address, extents, strides, box, element_strides, interleave, swizzle, fill);
  });
}
