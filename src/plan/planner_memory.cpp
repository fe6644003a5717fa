#include "plan/planner_memory.h"

#include "plan/gap_tree.h"

namespace flash_mla::plan {

void PlannerMemory::reserve(size_t num_items, int num_parts) {
  const size_t parts = static_cast<size_t>(num_parts);
  const size_t units = most_units(num_items, num_parts);
  make_room(cost, num_items);
  make_room(order, num_items);
  make_room(sort_keys, 2 * num_items);
  make_room(keys_done, num_items);
  for (std::vector<Remainder>* list : {&remainders, &misfits}) make_room(*list, num_items);
  // These change places, so that all must hold as many.
  for (std::vector<Placement>* list : {&best, &kept, &trial}) make_room(*list, units);
  make_room(item_head, num_items);
  for (std::vector<int32_t>* list : {&next_in_part, &next_of_item, &hand}) make_room(*list, units);
  make_room(load, parts);
  make_room(gap_tree, GapTree::nodes_for(num_parts));
  for (std::vector<int32_t>* list : {&part_order, &part_rank, &part_head, &unit_in_part}) make_room(*list, parts);
}

}  // namespace flash_mla::plan
