// expected: use of deleted function|deleted constructor|deleted copy
#include <flash_mla/flash_mla.hpp>

flash_mla::Plan use(flash_mla::Plan& plan) {
  return plan;  // wrong
  return static_cast<flash_mla::Plan&&>(plan);
}
