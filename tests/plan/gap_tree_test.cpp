#include "plan/gap_tree.h"

#include <gtest/gtest.h>

#include <random>

namespace flash_mla::plan::test {
namespace {

/// The same by looking at every part.
class PlainGaps {
 public:
  PlainGaps(int num_parts, double gap) : gaps_(num_parts, gap) {}
  void set(int part, double gap) { gaps_[part] = gap; }
  double largest() const { return *std::max_element(gaps_.begin(), gaps_.end()); }
  int first_with(double need, int begin) const {
    for (size_t part = begin; part < gaps_.size(); ++part)
      if (gaps_[part] >= need) return static_cast<int>(part);
    return -1;
  }
  double operator[](int part) const { return gaps_[part]; }

 private:
  std::vector<double> gaps_;
};

TEST(GapTree, IsWhatALookAtEveryPartFinds) {
  std::mt19937_64 random(1);
  const auto between = [&](int low, int high) { return std::uniform_int_distribution(low, high)(random); };
  for (const int num_parts : {1, 2, 3, 7, 8, 33, 132, 1024}) {
    std::vector<double> memory;
    GapTree tree(memory, num_parts, 500);
    PlainGaps plain(num_parts, 500);
    for (int step = 0; step < 2000; ++step) {
      const int part = between(0, num_parts - 1);
      const double gap = between(-5, 1000) + 0.5;
      tree.set(part, gap);
      plain.set(part, gap);
      EXPECT_NEAR(tree.gap(part), gap, 1e-9);
      EXPECT_EQ(plain[tree.roomiest()], plain.largest());
      const double need = between(0, 1100);
      const int begin = between(0, num_parts);
      ASSERT_EQ(tree.first_with(need, begin), plain.first_with(need, begin)) << need << " from " << begin;
    }
  }
}

}  // namespace
}  // namespace flash_mla::plan::test
