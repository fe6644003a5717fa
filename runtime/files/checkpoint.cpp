#include "files/checkpoint.h"

#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/number.h"

namespace flash_mla::runtime {
namespace {

constexpr size_t kLargestIndex = 256 << 20;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

std::string text_of(std::span<const int64_t> shape) {
  return nlohmann::json(std::vector<int64_t>(shape.begin(), shape.end())).dump();
}

/// Tensor names by file.
Result<std::map<std::string, std::vector<std::string>>> read_index(const std::string& path) {
  const Result<std::string> text = read_text(path, kLargestIndex);
  if (!text.ok()) return text.status();
  const nlohmann::json index = nlohmann::json::parse(text.value(), nullptr, false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return invalid("{}: weight_map is missing or not an object of tensor and file names", path);
  }
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    // A name, not a path: an index must not lead out of its folder.
    if (!file.is_string() || std::filesystem::path(file.get<std::string>()).filename() != file.get<std::string>() ||
        file.get<std::string>().empty()) {
      return invalid("{}: weight_map: '{}' is in {}: must be the name of a file in the same folder", path, tensor,
                     file.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
    files[file.get<std::string>()].push_back(tensor);
  }
  return files;
}

template <class Source, class Convert>
void convert_all(const std::byte* bytes, std::span<float> values, Convert convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    Source stored;
    std::memcpy(&stored, bytes + i * sizeof(Source), sizeof(Source));
    values[i] = convert(stored);
  }
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) return io_error("{}: is not a folder", folder);
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  const std::string single = (std::filesystem::path(folder) / kSingle).string();
  const std::string index = (std::filesystem::path(folder) / kIndex).string();
  if (std::filesystem::exists(index, ignored)) {
    const Result<std::map<std::string, std::vector<std::string>>> files = read_index(index);
    if (!files.ok()) return files.status();
    for (const auto& [file, tensors] : files.value()) {
      FLASH_MLA_RUNTIME_TRY(checkpoint.add_file((std::filesystem::path(folder) / file).string(), &tensors));
    }
    return checkpoint;
  }
  if (!std::filesystem::exists(single, ignored)) return io_error("{}: has neither {} nor {}", folder, kSingle, kIndex);
  FLASH_MLA_RUNTIME_TRY(checkpoint.add_file(single, nullptr));
  return checkpoint;
}

Status Checkpoint::add_file(const std::string& path, const std::vector<std::string>* expected) {
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file.ok()) return file.status();
  Result<StoredTensors> tensors = parse_safetensors(file.value()->bytes(), path);
  if (!tensors.ok()) return tensors.status();
  if (expected != nullptr) {
    for (const std::string& name : *expected) {
      if (!tensors.value().contains(name))
        return invalid("{}: lacks tensor '{}', which the index says it has", path, name);
    }
  }
  files_.push_back(std::move(file).value());
  tensors_.merge(tensors.value());
  return {};
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

Result<const StoredTensor*> Checkpoint::tensor(std::string_view name, std::span<const int64_t> shape) const {
  const StoredTensor* found = find(name);
  if (found == nullptr) return Status{StatusCode::not_found, fmt::format("{}: lacks the weight '{}'", folder_, name)};
  if (!std::equal(shape.begin(), shape.end(), found->shape.begin(), found->shape.end())) {
    return invalid("{}: weight '{}' has shape {}: must be {}, as config.json has it", folder_, name,
                   text_of(found->shape), text_of(shape));
  }
  return found;
}

int64_t Checkpoint::total_bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors_) bytes += static_cast<int64_t>(tensor.bytes.size());
  return bytes;
}

Status to_float32(const StoredTensor& tensor, std::string_view name, std::span<float> values) {
  return to_float32(tensor, name, 0, values);
}

Status to_float32(const StoredTensor& tensor, std::string_view name, int64_t first, std::span<float> values) {
  const auto from = static_cast<size_t>(first);
  if (tensor.dtype == "F32") {
    std::memcpy(values.data(), tensor.bytes.data() + from * 4, values.size() * 4);
  } else if (tensor.dtype == "BF16") {
    convert_all<uint16_t>(tensor.bytes.data() + from * 2, values, from_bfloat16);
  } else if (tensor.dtype == "F16") {
    convert_all<uint16_t>(tensor.bytes.data() + from * 2, values, from_float16);
  } else {
    return unsupported("weight '{}' is stored as {}: only F32, BF16 and F16 can be read (quantised weights cannot)",
                       name, tensor.dtype);
  }
  return {};
}

}  // namespace flash_mla::runtime
