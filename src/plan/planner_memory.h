// What the planner remembers between calls: buffers only, never results.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/item.h"

namespace flash_mla::plan {

/// A unit before its keys are numbered. Of an item's placements, that in the highest part holds its last keys; all
/// others hold multiples of the quantum.
struct Placement {
  int32_t item = 0;
  int32_t part = 0;
  int64_t tokens = 0;
};

/// Keys that still need a place: a whole item, or what is left of a split one.
struct Remainder {
  int32_t item = 0;
  int64_t tokens = 0;
  double cost = 0;
};

/// Units of a schedule: packing adds two for each part at most, and refining as many.
constexpr size_t most_units(size_t num_items, int num_parts) {
  return num_items + 4 * static_cast<size_t>(num_parts);
}

/// Capacity for `count`, at least doubled where it grows: batches that grow a little each step seldom allocate.
template <class T>
void make_room(std::vector<T>& list, size_t count) {
  if (list.capacity() < count) list.reserve(std::max(count, 2 * list.capacity()));
}

struct PlannerMemory {
  /// Makes room for all that batches of these sizes need, whichever way they are planned.
  void reserve(size_t num_items, int num_parts);

  std::vector<double> cost;           ///< [items] of each item unsplit
  std::vector<int32_t> order;         ///< [items] dearest first
  std::vector<uint64_t> sort_keys;    ///< [2 * items]
  std::vector<Item> pieces;           ///< [units] of an invariant plan
  std::vector<Unit> piece_units;      ///< [units]
  std::vector<double> load;           ///< [parts]
  std::vector<double> gap_tree;       ///< [2 * parts, rounded up to a power of two]
  std::vector<Placement> best;        ///< of the best schedule so far
  std::vector<Placement> kept;        ///< of the best schedule while another is refined
  std::vector<Placement> trial;       ///< of the target being tried
  std::vector<Remainder> remainders;  ///< of items dearer than the target
  std::vector<Remainder> misfits;     ///< found no part with room
  std::vector<int32_t> part_order;    ///< [parts]
  std::vector<int32_t> part_rank;     ///< [parts] inverse of part_order
  std::vector<int64_t> keys_done;     ///< [items]
  std::vector<int32_t> part_head;     ///< [parts] a placement of the part, others linked by next_in_part
  std::vector<int32_t> next_in_part;  ///< [placements]
  std::vector<int32_t> item_head;     ///< [items] a placement of the item, others linked by next_of_item
  std::vector<int32_t> next_of_item;  ///< [placements]
  std::vector<int32_t> unit_in_part;  ///< [parts] placement of the item at hand, or -1
  std::vector<int32_t> hand;          ///< placements that are dealt anew
};

}  // namespace flash_mla::plan
