// decode() takes no memory from the heap: every allocation of this program is counted, on all threads.
#include "allocation_counter.h"

#include <cstdlib>

#include "decode_call.h"
#include "flash_mla/backend.h"
#include "per_backend.h"
#include "support/executors.h"

namespace flash_mla::test {
namespace {

TEST(AllocationCounter, Counts) {
  // Through a volatile pointer, lest the compiler see that nobody needs the memory.
  void* volatile memory = nullptr;
  const int64_t before = num_allocations();
  memory = ::operator new(1);
  ::operator delete(memory);
  memory = std::malloc(10);
  memory = std::realloc(memory, 100000);
  std::free(memory);
  memory = std::calloc(10, 10);
  std::free(memory);
  memory = std::aligned_alloc(64, 128);
  std::free(memory);
  EXPECT_GE(num_allocations() - before, 5);
}

class Allocation : public PerBackend {
 protected:
  static void expect_none(const SceneSpec& spec, int workers, const flash_mla::Executor* executor,
                          bool with_lse = true) {
    RunOptions with = options();
    with.workers = workers;
    DecodeCall call(spec, with);
    call.args.executor = executor;
    if (!with_lse) call.args.lse = {};
    ASSERT_TRUE(decode(call.plan, call.args).ok());  // OpenMP starts its threads, thread-local buffers appear
    const int64_t before = num_allocations();
    const Status status = decode(call.plan, call.args);
    const int64_t after = num_allocations();
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(after - before, 0);
  }
};

TEST_P(Allocation, None) {
  const flash_mla::Executor serial = serial_executor();
  for (const DType dtype : {DType::bfloat16, DType::float16, DType::float32}) {
    SceneSpec mla{.shape = {.dtype = dtype, .out_dtype = dtype, .s_q = 2, .h_q = 20, .d = 80, .d_v = 65},
                  .seqlens = {900, 3, 0},
                  .mask = {.causal = true, .window = 500, .sinks = 3}};
    SceneSpec grouped{.shape = {.dtype = dtype,
                                .out_dtype = DType::float32,
                                .h_q = 8,
                                .h_kv = 4,
                                .d = 33,
                                .d_v = 65,
                                .page_size = 1,
                                .separate_v = true},
                      .seqlens = {300, 3, 0},
                      .cu_seqlens_q = {0, 1, 3, 6}};
    for (const SceneSpec& spec : {mla, grouped}) {
      for (const int workers : {1, 2, 5}) {
        expect_none(spec, workers, nullptr);
        expect_none(spec, workers, &serial);
        expect_none(spec, workers, &serial, false);
      }
    }
  }
}

FLASH_MLA_PER_BACKEND(Allocation);

}  // namespace
}  // namespace flash_mla::test
