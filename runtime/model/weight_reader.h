// Reads weights by name; keeps the first error, after which what it returns means nothing.
#pragma once

#include <memory>
#include <string>

#include "files/checkpoint.h"
#include "flash_mla/status.h"
#include "model/linear.h"
#include "model/norm.h"

namespace flash_mla::runtime {

class WeightReader {
 public:
  WeightReader(const Checkpoint& checkpoint, Precision precision)
      : checkpoint_(checkpoint), products_(make_products(precision)) {}

  std::vector<float> vector(const std::string& name, std::initializer_list<int64_t> shape);
  /// `name`.weight [outer, inner], and `name`.bias [outer] if `bias`.
  Linear linear(const std::string& name, int64_t inner, int64_t outer, bool bias);
  /// Columns first to first + outer - 1 of GPT-2's `name`.weight [inner, all], and of its bias [all].
  Linear columns(const std::string& name, int64_t inner, int64_t all, int64_t first, int64_t outer);
  Norm norm(const std::string& name, int64_t width, double epsilon, bool bias);
  PackedMatrix pack(int64_t batch, int64_t inner, int64_t outer, const PackedMatrix::Source& source,
                    std::span<const float> values);
  const StoredTensor* stored(const std::string& name, std::initializer_list<int64_t> shape);

  [[nodiscard]] const Status& status() const { return status_; }

 private:
  const Checkpoint& checkpoint_;
  std::shared_ptr<Products> products_;
  Status status_;
};

}  // namespace flash_mla::runtime
