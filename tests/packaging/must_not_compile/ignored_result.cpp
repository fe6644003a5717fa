// expected: ignoring return|nodiscard
#include <flash_mla/flash_mla.hpp>

bool use(const flash_mla::PlanSpec& spec) {
  flash_mla::Plan::make(spec);  // wrong
  return flash_mla::Plan::make(spec).ok();
}
