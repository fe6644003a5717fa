#include "replay/scheduler.h"

#include <algorithm>
#include <utility>

#include "replay/random_rows.h"

namespace flash_mla::cli {
namespace {

/// A token's id, made from what the trace knows: the hash of its block where the prompt has one, else the request.
int32_t token_id(const Request& request, int64_t number, int64_t position) {
  const int64_t block = position / kHashedTokens;
  const bool hashed = position < request.prompt && block < static_cast<int64_t>(request.hash_ids.size());
  const uint64_t owner = hashed ? static_cast<uint64_t>(request.hash_ids[block]) : ~static_cast<uint64_t>(number);
  return static_cast<int32_t>(hash(hashed ? 1 : 2, owner, static_cast<uint64_t>(position)) >> 33);
}

}  // namespace

Scheduler::Scheduler(std::span<const Request> requests, KvCache& cache)
    : requests_(requests), cache_(cache), reserve_((cache.geometry().num_pages + 99) / 100) {}

bool Scheduler::done() const {
  return running_.empty() && preempted_.empty() && arrived_ == static_cast<int64_t>(requests_.size());
}

Scheduler::Waiting Scheduler::next() const {
  return preempted_.empty() ? Waiting{arrived_, 0} : preempted_.back();
}

Result<bool> Scheduler::has_room(const Waiting& next, const SequenceSpec& spec, int64_t tokens) {
  // Room for its first step too, or admitting it would be in vain.
  const int64_t first_step = next.generated < requests_[next.request].answer ? 1 : 0;
  SequenceSpec whole = spec;
  whole.reserve_tokens = tokens + first_step;
  const Result<Admission> admission = cache_.can_admit(whole);
  if (!admission.ok()) return admission.status();
  const int64_t needed = admission.value().pages_needed + admission.value().evictable_hits;
  return needed + (running_.empty() ? 0 : reserve_) <= admission.value().pages_available;
}

void Scheduler::write_ids(int64_t request, int64_t tokens) {
  const std::vector<int64_t>& hashes = requests_[request].hash_ids;
  ids_.clear();
  if (hashes.empty()) return;
  for (int64_t token = 0; token < tokens; ++token) ids_.push_back(token_id(requests_[request], request, token));
}

Status Scheduler::mark_written() {
  for (const Sequence& sequence : running_) {
    if (cache_.num_computed_tokens(sequence.id) == sequence.length) continue;
    if (Status status = cache_.mark_computed(sequence.id, sequence.length); !status.ok()) return status;
  }
  return {};
}

Result<const Sequence*> Scheduler::admit(std::vector<int64_t>& slots) {
  constexpr const Sequence* kNone = nullptr;
  if (Status status = mark_written(); !status.ok()) return status;
  const bool waiting = !preempted_.empty() || arrived_ < static_cast<int64_t>(requests_.size());
  if (!waiting || static_cast<int64_t>(running_.size()) == cache_.geometry().max_sequences) return kNone;
  const Waiting next = this->next();
  const Request& request = requests_[next.request];
  const int64_t tokens = request.prompt + next.generated;
  write_ids(next.request, tokens);
  SequenceSpec spec;
  spec.prompt = ids_;
  const Result<bool> room = has_room(next, spec, tokens);
  if (!room.ok()) return room.status();
  if (!room.value()) return kNone;

  const Result<StartedSequence> started = cache_.add_sequence(spec);
  if (!started.ok()) return started.status();
  const auto [id, shared] = started.value();
  slots.resize(static_cast<size_t>(tokens - shared));
  const auto rest = std::span<const int32_t>(ids_).subspan(static_cast<size_t>(shared));
  const Result<PageCopies> grown = ids_.empty() ? cache_.grow(id, tokens, slots) : cache_.grow(id, rest, slots);
  if (!grown.ok()) return grown.status();
  if (preempted_.empty()) {
    ++arrived_;
  } else {
    preempted_.pop_back();
  }
  const Sequence sequence{next.request, id, cache_.row_of(id), tokens, shared, next.generated};
  if (next.generated < request.answer) {
    running_.push_back(sequence);
    return &running_.back();
  }
  if (Status status = cache_.remove_sequence(sequence.id); !status.ok()) return status;
  ++finished_;
  just_finished_ = sequence;
  return &std::as_const(just_finished_);
}

Status Scheduler::preempt_newest() {
  const Sequence newest = running_.back();
  running_.pop_back();
  preempted_.push_back({newest.request, newest.generated});
  ++preemptions_;
  return cache_.remove_sequence(newest.id);
}

Status Scheduler::grow(std::vector<int64_t>& slots) {
  slots.clear();
  if (Status status = mark_written(); !status.ok()) return status;
  // By index: preemption shortens the list from the end, that is by sequences that have not grown yet.
  for (size_t i = 0; i < running_.size(); ++i) {
    while (i < running_.size() && cache_.pages_needed(running_[i].id, 1) > cache_.num_free_pages()) {
      if (Status status = preempt_newest(); !status.ok()) return status;
    }
    if (i == running_.size()) break;
    int64_t slot = 0;
    Sequence& sequence = running_[i];
    const Request& request = requests_[sequence.request];
    const int32_t token = token_id(request, sequence.request, sequence.length);
    const Result<PageCopies> grown = request.hash_ids.empty() ? cache_.grow(sequence.id, 1, {&slot, 1})
                                                              : cache_.grow(sequence.id, {&token, 1}, {&slot, 1});
    if (!grown.ok()) return grown.status();
    slots.push_back(slot);
    ++sequence.length;
  }
  return {};
}

Status Scheduler::finish_step() {
  for (Sequence& sequence : running_) {
    ++sequence.generated;
    if (sequence.generated < requests_[sequence.request].answer) continue;
    if (Status status = cache_.remove_sequence(sequence.id); !status.ok()) return status;
    ++finished_;
  }
  std::erase_if(running_,
                [&](const Sequence& sequence) { return sequence.generated == requests_[sequence.request].answer; });
  return {};
}

}  // namespace flash_mla::cli
