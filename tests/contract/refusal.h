// Calls that have to be refused: with which words, and without a trace.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flash_mla/status.h"
#include "flash_mla/tensor.h"

namespace flash_mla::test {

testing::AssertionResult is_refused(const Status& status, const std::string& message,
                                    StatusCode code = StatusCode::invalid_argument);

/// A tensor argument, as the contract describes it.
struct TensorArgument {
  std::string name;
  std::string shape;    ///< "[b, s_q, h_q, d]"
  std::string extents;  ///< what a call like the good one expects: "[2, 1, any, 64]"
  bool last_stride_is_1 = true;
  bool is_output = false;
};

struct BadTensor {
  std::string what;
  Tensor tensor;
  std::string message;
};

/// Every way in which a tensor that is right otherwise can be wrong by itself: absent, rank, type, extents, null,
/// strides, alignment; outputs: elements that overlap.
std::vector<BadTensor> ways_to_be_wrong(const Tensor& good, const TensorArgument& argument);

}  // namespace flash_mla::test
