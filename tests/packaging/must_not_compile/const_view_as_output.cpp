// expected: invalid conversion from .const void\*|cannot initialize|no viable
#include <flash_mla/flash_mla.hpp>

void use(flash_mla::DecodeArgs& args, const flash_mla::ConstTensor& read_only, const flash_mla::Tensor& writable) {
  args.q = read_only;
  args.k_cache = writable;
  args.out = writable;
  args.out = read_only;  // wrong
}
