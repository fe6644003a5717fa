// The room left in each part, as a tournament tree: the roomiest part at the root, the first with enough room in O(log
// parts).
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace flash_mla::plan {

/// A node holds the largest gap below it, whose 10 lowest mantissa bits are the number of its part: gaps are good to
/// 2^-42.
class GapTree {
 public:
  static constexpr int kMaxParts = 1024;

  static size_t nodes_for(int num_parts) { return 2 * std::bit_ceil(static_cast<size_t>(num_parts)); }

  /// A view of `nodes`, which it resizes; all parts start with `gap` >= 0.
  GapTree(std::vector<double>& nodes, int num_parts, double gap)
      : nodes_(nodes), leaves_(static_cast<int>(nodes_for(num_parts) / 2)) {
    nodes_.assign(nodes_for(num_parts), -1);
    for (int part = 0; part < num_parts; ++part) nodes_[leaves_ + part] = with_number(gap, part);
    for (int node = leaves_ - 1; node > 0; --node) nodes_[node] = std::max(nodes_[2 * node], nodes_[2 * node + 1]);
  }

  double gap(int part) const { return nodes_[leaves_ + part]; }

  void set(int part, double gap) {
    int node = leaves_ + part;
    double largest = with_number(gap, part);
    nodes_[node] = largest;
    for (; node > 1; node /= 2) {
      largest = std::max(largest, nodes_[node ^ 1]);
      nodes_[node / 2] = largest;
    }
  }

  int roomiest() const { return static_cast<int>(std::bit_cast<uint64_t>(nodes_[1]) % kMaxParts); }

  /// The first part from `begin` on whose gap is at least `need`, or -1.
  int first_with(double need, int begin) const {
    if (begin >= leaves_) return -1;
    int node = begin == 0 ? 1 : leaves_ + begin;
    while (nodes_[node] < need) {
      while (node % 2 == 1) node /= 2;  // a right child: what follows hangs further up
      if (node == 0) return -1;
      ++node;
    }
    while (node < leaves_) {
      node *= 2;
      if (nodes_[node] < need) ++node;
    }
    return node - leaves_;
  }

 private:
  static double with_number(double gap, int part) {
    return std::bit_cast<double>(std::bit_cast<uint64_t>(gap) / kMaxParts * kMaxParts + static_cast<uint64_t>(part));
  }

  std::vector<double>& nodes_;
  int leaves_;
};

}  // namespace flash_mla::plan
