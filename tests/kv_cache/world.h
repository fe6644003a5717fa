// A naive world around a KvCache: arrays that hold, for every token, a number which stands for its keys, and a plain
// list of those numbers for each sequence. Whatever the cache does with pages, every visible token must lead to its
// number.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "flash_mla/kv_cache.h"
#include "flash_mla/kv_cache_data.h"

namespace flash_mla::test {

/// Where a world's decisions come from: a random generator, or a fuzzer's input.
class Choices {
 public:
  virtual ~Choices() = default;
  /// 0 to bound - 1; bound > 0.
  virtual int64_t below(int64_t bound) = 0;
};

struct WorldConfig {
  KvCacheGeometry geometry;
  KvCacheOptions options;
  int64_t alphabet = 3;  ///< token ids; few, so that prompts meet
};

class World {
 public:
  World(const WorldConfig& config, Choices& choices);

  /// One random operation, judged. Empty: all well.
  std::string step();
  /// Everything: all sequences' tokens, the counters, verify(). Empty: all well.
  std::string check_all();
  /// Moves the cache through snapshot() and restore() into other pages of other arrays, possibly more of them.
  std::string save_and_restore(const std::string& path, int64_t num_pages);

  [[nodiscard]] const KvCache& cache() const { return *cache_; }
  std::map<std::string, int64_t> counts;  ///< of what happened

 private:
  struct Twin {
    std::vector<int32_t> tokens;
    std::vector<uint64_t> contents;  ///< what each token's keys are: depends on all before it
    uint64_t start = 0;              ///< salt and adapter
    int64_t computed = 0;
    bool frozen = false;
    bool all_known = true;
    int64_t tier = -1;
    int64_t moving = 0;  ///< transfers under way
  };
  struct Moving {
    PageTransfer transfer;
    bool to_pool = false;
    int64_t id = 0;  ///< of the sequence
  };

  std::string add();
  std::string grow(bool known);
  std::string mark_computed();
  std::string rewind();
  std::string fork();
  std::string remove();
  std::string reserve();
  std::string pin();
  std::string unpin();
  std::string swap_out();
  std::string swap_in();
  std::string complete();
  std::string misuse();
  std::string forget();

  std::string check_sequence(int64_t id, const Twin& twin, int64_t first);
  std::string write(int64_t id, const Twin& twin, int64_t first, const std::vector<int64_t>& slots,
                    const PageCopies& copies);
  std::string expect(const Status& status, bool should_work, StatusCode otherwise, const char* what);
  void draw_prompt(std::vector<int32_t>& tokens, SequenceSpec& spec, std::vector<TokenExtra>& extras);
  PageArrays arrays();
  [[nodiscard]] uint64_t content(uint64_t before, int32_t token, uint64_t extra) const;
  [[nodiscard]] int64_t pages_for(int64_t length) const;
  [[nodiscard]] bool can_move(const Twin& twin) const { return !twin.frozen && twin.tier < 0 && twin.moving == 0; }
  int64_t any();  ///< a sequence's id, or -1

  WorldConfig config_;
  Choices& choices_;
  std::unique_ptr<KvCache> cache_;
  std::vector<KvCacheGroup> groups_;
  std::vector<std::vector<uint64_t>> data_;                ///< a group: [num_pages * page_size]
  std::vector<std::vector<std::vector<uint64_t>>> tiers_;  ///< tier, page: contents
  std::map<int64_t, Twin> twins_;
  std::vector<Moving> moving_;
  struct Pin {
    std::vector<int32_t> tokens;
    uint64_t salt = 0;
    int64_t count = 0;
  };
  std::vector<Pin> pins_;
  int64_t removed_id_ = -1;
};

}  // namespace flash_mla::test
