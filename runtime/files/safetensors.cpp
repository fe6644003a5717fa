#include "files/safetensors.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/error.h"

namespace flash_mla::runtime {
namespace {

constexpr uint64_t kLongestHeader = 100'000'000;  // bytes; the format's own limit

struct KnownType {
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array kTypes = {KnownType{"F32", 4},     KnownType{"BF16", 2},    KnownType{"F16", 2},
                               KnownType{"F64", 8},     KnownType{"I64", 8},     KnownType{"U64", 8},
                               KnownType{"I32", 4},     KnownType{"U32", 4},     KnownType{"I16", 2},
                               KnownType{"U16", 2},     KnownType{"I8", 1},      KnownType{"U8", 1},
                               KnownType{"BOOL", 1},    KnownType{"F8_E4M3", 1}, KnownType{"F8_E5M2", 1},
                               KnownType{"F8_E8M0", 1}, KnownType{"C64", 8}};

uint64_t bytes_of(std::string_view dtype) {
  const auto* known =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const KnownType& type) { return type.name == dtype; });
  return known == kTypes.end() ? 0 : known->bytes;
}

/// The header's length in bytes. Errors: longer than the file or the format allows.
Result<uint64_t> header_length(std::span<const std::byte> file, std::string_view source) {
  constexpr size_t kPrefix = 8;
  if (file.size() < kPrefix) {
    return invalid("{}: has {} bytes: a safetensors file has at least {}", source, file.size(), kPrefix);
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kPrefix; ++i) length |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  const uint64_t most = std::min<uint64_t>(kLongestHeader, file.size() - kPrefix);
  if (length > most) {
    return invalid("{}: its header is said to have {} bytes: at most {} are possible (is the file truncated?)", source,
                   length, most);
  }
  return length;
}

bool is_count(const nlohmann::json& value) {
  return value.is_number_unsigned();
}

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string_view name;
};

/// Where the header says that a tensor lies. Errors: whatever is not as the format wants it.
Result<std::pair<StoredTensor, Range>> parse_entry(const std::string& name, const nlohmann::json& entry,
                                                   std::span<const std::byte> data, std::string_view source) {
  const auto bad = [&](const char* key, const char* wanted) {
    const nlohmann::json found = entry.is_object() && entry.contains(key) ? entry[key] : nlohmann::json();
    return invalid("{}: tensor '{}': {} is {}: must be {}", source, name, key,
                   found.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), wanted);
  };
  if (!entry.is_object()) return invalid("{}: tensor '{}': is not a JSON object", source, name);
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string() || bytes_of(dtype->get_ref<const std::string&>()) == 0) {
    return bad("dtype", "a type that safetensors knows");
  }
  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array() || !std::all_of(shape->begin(), shape->end(), is_count)) {
    return bad("shape", "a list of counts");
  }
  const auto offsets = entry.find("data_offsets");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2 || !is_count((*offsets)[0]) ||
      !is_count((*offsets)[1])) {
    return bad("data_offsets", "a begin and an end");
  }
  const auto begin = (*offsets)[0].get<uint64_t>(), end = (*offsets)[1].get<uint64_t>();
  if (begin > end || end > data.size()) {
    return invalid("{}: tensor '{}': data_offsets are {} to {}: the file holds bytes 0 to {} (is it truncated?)",
                   source, name, begin, end, data.size());
  }
  StoredTensor tensor;
  tensor.dtype = dtype->get<std::string>();
  uint64_t size = bytes_of(tensor.dtype);
  for (const nlohmann::json& extent : *shape) {
    const auto count = extent.get<uint64_t>();
    if (__builtin_mul_overflow(size, count, &size) || count > INT64_MAX)
      return bad("shape", "of fewer than 2^64 bytes");
    tensor.shape.push_back(static_cast<int64_t>(count));
  }
  if (size != end - begin) {
    return invalid("{}: tensor '{}': {} of shape {} takes {} bytes, but data_offsets are {} to {}", source, name,
                   tensor.dtype, shape->dump(), size, begin, end);
  }
  tensor.bytes = data.subspan(begin, size);
  return std::pair{std::move(tensor), Range{begin, end, {}}};
}

}  // namespace

Result<StoredTensors> parse_safetensors(std::span<const std::byte> file, std::string_view source) {
  const Result<uint64_t> length = header_length(file, source);
  if (!length.ok()) return length.status();
  const auto* text = reinterpret_cast<const char*>(file.data()) + 8;
  const nlohmann::json header = nlohmann::json::parse(text, text + length.value(), nullptr, false);
  if (!header.is_object()) return invalid("{}: its header is not a JSON object", source);

  const std::span<const std::byte> data = file.subspan(8 + length.value());
  StoredTensors tensors;
  std::vector<Range> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    Result<std::pair<StoredTensor, Range>> parsed = parse_entry(name, entry, data, source);
    if (!parsed.ok()) return parsed.status();
    const auto place = tensors.emplace(name, std::move(parsed.value().first)).first;
    ranges.push_back(parsed.value().second);
    ranges.back().name = place->first;
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t filled = 0;
  for (const Range& range : ranges) {
    if (range.begin != filled) {
      return invalid("{}: tensor '{}': begins at {}: must begin where the one before it ends, at {}", source,
                     range.name, range.begin, filled);
    }
    filled = range.end;
  }
  if (filled != data.size()) {
    return invalid("{}: its tensors end at {}: must end with the file, at {}", source, filled, data.size());
  }
  return tensors;
}

}  // namespace flash_mla::runtime
