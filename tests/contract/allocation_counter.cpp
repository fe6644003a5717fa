#include "allocation_counter.h"

#include <atomic>
#include <cstddef>

namespace {
std::atomic<int64_t> count{0};
}

namespace flash_mla::test {
int64_t num_allocations() {
  return count.load();
}
}  // namespace flash_mla::test

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

// A sanitizer brings its own malloc, and tells of every use.
extern "C" {
void __sanitizer_malloc_hook(const volatile void*, size_t) {
  count.fetch_add(1);
}
void __sanitizer_free_hook(const volatile void*) {}
}

#else

// The program's malloc comes before the C library's. That one's functions stay behind under these names.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t number, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  count.fetch_add(1);
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  count.fetch_add(1);
  return __libc_calloc(number, size);
}
void* realloc(void* memory, size_t size) {
  count.fetch_add(1);
  return __libc_realloc(memory, size);
}
void* memalign(size_t alignment, size_t size) {
  count.fetch_add(1);
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count.fetch_add(1);
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** memory, size_t alignment, size_t size) {
  count.fetch_add(1);
  *memory = __libc_memalign(alignment, size);
  return *memory != nullptr ? 0 : 12;  // ENOMEM
}
}

#endif
