// Continuous batching: which requests run, and where their tokens go. Knows lengths and pages, no keys.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flash_mla/kv_cache.h"
#include "flash_mla/status.h"
#include "replay/trace.h"

namespace flash_mla::cli {

struct Sequence {
  int64_t request = 0;    ///< index in the trace
  int64_t id = 0;         ///< in the cache
  int64_t row = 0;        ///< of the page table
  int64_t length = 0;     ///< tokens in the cache
  int64_t shared = 0;     ///< of those, found in the prefix cache when it was admitted
  int64_t generated = 0;  ///< of its answer, so far
};

/// Requests are admitted in order of arrival while rows and pages are free. One per cent of the pool is kept for the
/// growth of what runs already; if growth finds no page all the same, the newest sequence loses its pages, waits at the
/// head of the queue and is computed again (vLLM's policy). Where the cache keeps prefixes, requests with hash ids
/// share the beginnings that these say are equal. What has slots counts as written by the next call of admit() or
/// grow().
class Scheduler {
 public:
  /// All requests have arrived; each must fit into the cache on its own. Both must outlive the scheduler.
  Scheduler(std::span<const Request> requests, KvCache& cache);

  /// Admits the next request, if it may run now, and gives slots to what of its prompt is not shared and to what it had
  /// generated before it was preempted. Null if none may; else the sequence, valid until the next call of any of these.
  /// A request without an answer is finished at once.
  Result<const Sequence*> admit(std::vector<int64_t>& slots);

  /// Gives every running sequence a slot for one more token, in the order of running(). Preempts where pages run out.
  Status grow(std::vector<int64_t>& slots);

  /// Counts the token that grow() made room for, and removes what is finished.
  Status finish_step();

  [[nodiscard]] std::span<const Sequence> running() const { return running_; }
  [[nodiscard]] bool done() const;
  [[nodiscard]] int64_t num_finished() const { return finished_; }
  [[nodiscard]] int64_t num_preemptions() const { return preemptions_; }

 private:
  struct Waiting {
    int64_t request = 0;
    int64_t generated = 0;
  };

  [[nodiscard]] Waiting next() const;
  Result<bool> has_room(const Waiting& next, const SequenceSpec& spec, int64_t tokens);
  /// The ids of a request's first `tokens` tokens; none where nothing is shared.
  void write_ids(int64_t request, int64_t tokens);
  Status mark_written();
  Status preempt_newest();

  std::span<const Request> requests_;
  KvCache& cache_;
  std::vector<Sequence> running_;   ///< oldest first
  std::vector<Waiting> preempted_;  ///< to be admitted from the back
  Sequence just_finished_;
  std::vector<int32_t> ids_;
  int64_t arrived_ = 0;  ///< requests admitted at least once
  int64_t finished_ = 0;
  int64_t preemptions_ = 0;
  int64_t reserve_ = 0;  ///< pages
};

}  // namespace flash_mla::cli
