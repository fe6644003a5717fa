// Tests that run on every backend that this machine has, with every type of cache.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "support/run.h"

namespace flash_mla::test {

class PerBackend : public testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] static RunOptions options() { return {.backend = GetParam()}; }
};

class PerBackendAndType : public testing::TestWithParam<std::tuple<std::string, DType>> {
 protected:
  [[nodiscard]] static RunOptions options() { return {.backend = std::get<0>(GetParam())}; }
  [[nodiscard]] static DType dtype() { return std::get<1>(GetParam()); }
  /// A shape of this test's type; out has the same.
  [[nodiscard]] static DecodeShape shape(DecodeShape like) {
    like.dtype = like.out_dtype = dtype();
    return like;
  }
};

}  // namespace flash_mla::test

#define FLASH_MLA_PER_BACKEND(Suite)                                                                 \
  INSTANTIATE_TEST_SUITE_P(Backends, Suite, testing::ValuesIn(::flash_mla::test::usable_backends()), \
                           [](const auto& of) { return of.param; })

#define FLASH_MLA_PER_BACKEND_AND_TYPE(Suite)                                             \
  INSTANTIATE_TEST_SUITE_P(                                                               \
      Backends, Suite,                                                                    \
      testing::Combine(testing::ValuesIn(::flash_mla::test::usable_backends()),           \
                       testing::Values(DType::bfloat16, DType::float16, DType::float32)), \
      [](const auto& of) { return std::get<0>(of.param) + "_" + name_of(std::get<1>(of.param)); })
