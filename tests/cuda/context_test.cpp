// Kernels are loaded into a context once, and again into the context that takes its place.
#include <gtest/gtest.h>

#include "device_call.h"
#include "driver_calls.h"
#include "support/accuracy.h"

namespace flash_mla::test {
namespace {

void decode_here(const Scene& scene) {
  DeviceCall call(scene, DeviceCall::Where::current_context);
  Output output(scene);
  const Status status = call.run(Plan::make(call.spec()).value(), output);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(is_accurate(scene, output, scene.reference()));
}

TEST(CudaContexts, OneMayLieWhereAnotherLay) {
  const Scene scene({.shape = {.h_q = 16, .d = 288, .d_v = 256}, .seqlens = {70}});
  ASSERT_TRUE(cuda_use_device(0).ok());
  decode_here(scene);
  CUcontext first = nullptr, second = nullptr;
  ASSERT_EQ(driver_calls().context_create(&first, 0, 0), CUDA_SUCCESS);
  decode_here(scene);
  ASSERT_EQ(driver_calls().context_destroy(first), CUDA_SUCCESS);
  ASSERT_EQ(driver_calls().context_create(&second, 0, 0), CUDA_SUCCESS);
  decode_here(scene);
  ASSERT_EQ(driver_calls().context_destroy(second), CUDA_SUCCESS);
  ASSERT_TRUE(cuda_use_device(0).ok());
  decode_here(scene);
}

}  // namespace
}  // namespace flash_mla::test
