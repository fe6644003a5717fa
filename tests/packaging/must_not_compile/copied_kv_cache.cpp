// expected: use of deleted function|deleted constructor|deleted copy
#include <flash_mla/flash_mla.hpp>

flash_mla::KvCache use(flash_mla::KvCache& cache) {
  return cache;  // wrong
  return static_cast<flash_mla::KvCache&&>(cache);
}
