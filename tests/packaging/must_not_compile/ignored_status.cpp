// expected: ignoring return|nodiscard
#include <flash_mla/flash_mla.hpp>

void use(const flash_mla::Plan& plan, const flash_mla::DecodeArgs& args) {
  (void)flash_mla::decode(plan, args).ok();
  flash_mla::decode(plan, args);  // wrong
}
