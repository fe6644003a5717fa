// expected: invalid conversion from .const void\*|no match for|no viable
#include <flash_mla/flash_mla.hpp>

void use(flash_mla::DecodeArgs& args, const float* constant, float* writable) {
  args.q = {constant, flash_mla::DType::float32, {1, 1, 1, 2}};
  args.out = {writable, flash_mla::DType::float32, {1, 1, 1, 2}};
  args.out = {constant, flash_mla::DType::float32, {1, 1, 1, 2}};  // wrong
}
