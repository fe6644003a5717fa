#include "bench/kv_figures_lru.h"

#include <fmt/format.h>

#include <list>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

namespace flash_mla::cli {
namespace {

/// Least recently used at the front.
class LruSet {
 public:
  explicit LruSet(int64_t capacity) : capacity_(static_cast<size_t>(capacity)) {}

  [[nodiscard]] bool contains(int64_t id) const { return places_.contains(id); }

  void use(int64_t id) {
    if (auto place = places_.find(id); place != places_.end()) {
      order_.splice(order_.end(), order_, place->second);
      return;
    }
    if (capacity_ == 0) return;
    if (places_.size() == capacity_) {
      places_.erase(order_.front());
      order_.pop_front();
    }
    places_[id] = order_.insert(order_.end(), id);
  }

 private:
  size_t capacity_;
  std::list<int64_t> order_;
  std::unordered_map<int64_t, std::list<int64_t>::iterator> places_;
};

Status malformed(std::string_view name, int64_t line, std::string_view what) {
  return {StatusCode::invalid_argument, fmt::format("{}:{}: {}", name, line, what)};
}

}  // namespace

Result<std::vector<BlockHashes>> read_block_hashes(std::istream& stream, std::string_view name) {
  std::vector<BlockHashes> requests;
  std::string line;
  int64_t number = 0;
  while (std::getline(stream, line)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
    if (!object.is_object()) return malformed(name, number, "expected a JSON object");
    const auto ids = object.find("hash_ids");
    if (ids == object.end()) return malformed(name, number, "the key hash_ids is missing");
    if (!ids->is_array()) return malformed(name, number, "hash_ids must be an array of integers");
    BlockHashes& blocks = requests.emplace_back();
    for (const nlohmann::json& id : *ids) {
      if (!id.is_number_integer()) return malformed(name, number, "hash_ids must be an array of integers");
      blocks.push_back(id.get<int64_t>());
    }
  }
  if (requests.empty()) return malformed(name, number + 1, "the file ends without a request");
  return requests;
}

double lru_hit_rate(std::span<const BlockHashes> requests, int64_t capacity) {
  LruSet cache(capacity);
  int64_t found = 0;
  int64_t all = 0;
  for (const BlockHashes& blocks : requests) {
    all += static_cast<int64_t>(blocks.size());
    for (const int64_t id : blocks) {
      if (!cache.contains(id)) break;
      ++found;
    }
    for (auto id = blocks.rbegin(); id != blocks.rend(); ++id) cache.use(*id);
  }
  return all == 0 ? 0 : static_cast<double>(found) / static_cast<double>(all);
}

}  // namespace flash_mla::cli
