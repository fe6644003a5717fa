#include "refusal.h"

#include <cstdint>
#include <sstream>

namespace flash_mla::test {
namespace {

std::string list(const std::array<int64_t, kMaxRank>& values, int rank) {
  std::ostringstream text;
  for (int i = 0; i < rank; ++i) text << (i == 0 ? "[" : ", ") << values[i];
  text << "]";
  return text.str();
}

/// Which axes of "[2, any, 64]" are fixed.
std::vector<bool> fixed_axes(const std::string& extents) {
  std::vector<bool> fixed;
  std::istringstream text(extents.substr(1));
  for (std::string one; std::getline(text, one, ',');) fixed.push_back(one.find("any") == std::string::npos);
  return fixed;
}

void add_wrong_extents(const Tensor& good, const TensorArgument& argument, std::vector<BadTensor>& ways) {
  const std::vector<bool> fixed = fixed_axes(argument.extents);
  for (int axis = 0; axis < good.rank; ++axis) {
    for (const int64_t extent : {int64_t{-1}, good.shape[axis] + 1, good.shape[axis] - 1, INT64_MAX}) {
      if (extent >= 0 && !fixed[axis]) continue;
      Tensor bad = good;
      bad.shape[axis] = extent;
      ways.push_back({"extent " + std::to_string(extent) + " on axis " + std::to_string(axis), bad,
                      argument.name + " has shape " + list(bad.shape, bad.rank) + "; expected " + argument.shape +
                          " = " + argument.extents});
    }
  }
}

void add_wrong_strides(const Tensor& good, const TensorArgument& argument, std::vector<BadTensor>& ways) {
  const int last = good.rank - 1;
  for (int axis = 0; axis < good.rank; ++axis) {
    if (good.shape[axis] == 1) continue;
    const std::string of_axis = " on axis " + std::to_string(axis);
    for (const int64_t stride : {int64_t{-1}, INT64_MIN}) {
      Tensor bad = good;
      bad.strides[axis] = stride;
      ways.push_back({"stride " + std::to_string(stride) + of_axis, bad,
                      argument.name + " has stride " + std::to_string(stride) + of_axis + "; expected 0 or more"});
    }
    for (const int64_t stride : {INT64_MAX, int64_t{1} << 62}) {
      Tensor bad = good;
      bad.strides[axis] = stride;
      ways.push_back({"stride " + std::to_string(stride) + of_axis, bad,
                      argument.name + " has strides " + list(bad.strides, bad.rank) +
                          "; its last element lies beyond 2^62 bytes"});
    }
    if (argument.is_output && axis != last) {
      Tensor bad = good;
      bad.strides[axis] = 0;
      ways.push_back({"stride 0" + of_axis, bad,
                      argument.name + " has stride 0" + of_axis + "; its elements overlap, expected 1 or more"});
    }
  }
  if (argument.last_stride_is_1 && good.shape[last] > 1) {
    for (const int64_t stride : {0, 2}) {
      Tensor bad = good;
      bad.strides[last] = stride;
      ways.push_back({"last stride " + std::to_string(stride), bad,
                      argument.name + " has last stride " + std::to_string(stride) + "; expected 1"});
    }
  }
}

}  // namespace

testing::AssertionResult is_refused(const Status& status, const std::string& message, StatusCode code) {
  if (status.code() == code && status.message() == message) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "code " << static_cast<int>(status.code()) << ", expected "
                                     << static_cast<int>(code) << "\n  says:     " << status.message()
                                     << "\n  expected: " << message;
}

std::vector<BadTensor> ways_to_be_wrong(const Tensor& good, const TensorArgument& argument) {
  std::vector<BadTensor> ways;
  ways.push_back({"absent", Tensor{}, argument.name + " is absent; expected " + argument.shape});
  for (const int32_t rank : {-1, 0, good.rank - 1, good.rank + 1, INT32_MAX}) {
    Tensor bad = good;
    bad.rank = rank;
    ways.push_back({"rank " + std::to_string(rank), bad,
                    argument.name + " has rank " + std::to_string(rank) + "; expected " + argument.shape +
                        " with rank " + std::to_string(good.rank)});
  }
  for (const int dtype : {-1, 5, INT32_MAX}) {
    Tensor bad = good;
    bad.dtype = static_cast<DType>(dtype);
    ways.push_back({"dtype " + std::to_string(dtype), bad,
                    argument.name + " has dtype " + std::to_string(dtype) + ", which is none of the library's"});
  }
  Tensor null = good;
  null.data = nullptr;
  ways.push_back({"null", null, argument.name + " has null data; expected " + argument.shape});
  add_wrong_extents(good, argument, ways);
  add_wrong_strides(good, argument, ways);
  Tensor misaligned = good;
  misaligned.data = static_cast<char*>(good.data) + 1;
  std::ostringstream address;
  address << misaligned.data;
  ways.push_back({"misaligned", misaligned,
                  argument.name + " is at address " + address.str() + "; expected a multiple of " +
                      std::to_string(size_of(good.dtype)) + " bytes for " + name_of(good.dtype)});
  return ways;
}

}  // namespace flash_mla::test
