// expected: no matching function|no matching constructor
#include <flash_mla/flash_mla.hpp>

void use() {
  flash_mla::PlanSpec spec;
  flash_mla::Plan plan;  // wrong
  (void)spec;
}
