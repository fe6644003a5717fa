#include "model/weight_reader.h"

namespace flash_mla::runtime {

const StoredTensor* WeightReader::stored(const std::string& name, std::initializer_list<int64_t> shape) {
  const Result<const StoredTensor*> found = checkpoint_.tensor(name, {shape.begin(), shape.size()});
  if (found.ok()) return found.value();
  if (status_.ok()) status_ = found.status();
  return nullptr;
}

std::vector<float> WeightReader::vector(const std::string& name, std::initializer_list<int64_t> shape) {
  if (!status_.ok()) return {};
  const StoredTensor* found = stored(name, shape);
  if (found == nullptr) return {};
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  std::vector<float> values(static_cast<size_t>(count));
  status_ = to_float32(*found, name, values);
  return values;
}

PackedMatrix WeightReader::pack(int64_t batch, int64_t inner, int64_t outer, const PackedMatrix::Source& source,
                                std::span<const float> values) {
  return status_.ok() ? PackedMatrix(products_, batch, inner, outer, source, values) : PackedMatrix();
}

Linear WeightReader::linear(const std::string& name, int64_t inner, int64_t outer, bool bias) {
  const std::vector<float> weights = vector(name + ".weight", {outer, inner});
  std::vector<float> offsets = bias ? vector(name + ".bias", {outer}) : std::vector<float>();
  return {pack(1, inner, outer, {inner * outer, 1, inner}, weights), std::move(offsets)};
}

Linear WeightReader::columns(const std::string& name, int64_t inner, int64_t all, int64_t first, int64_t outer) {
  const std::vector<float> weights = vector(name + ".weight", {inner, all});
  const std::vector<float> offsets = vector(name + ".bias", {all});
  if (!status_.ok()) return {};
  return {pack(1, inner, outer, {inner * all, all, 1}, std::span(weights).subspan(static_cast<size_t>(first))),
          std::vector<float>(offsets.begin() + first, offsets.begin() + first + outer)};
}

Norm WeightReader::norm(const std::string& name, int64_t width, double epsilon, bool bias) {
  return {vector(name + ".weight", {width}), bias ? vector(name + ".bias", {width}) : std::vector<float>(), epsilon};
}

}  // namespace flash_mla::runtime
