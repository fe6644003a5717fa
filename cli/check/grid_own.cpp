// What FlashMLA's grid leaves out.
#include <algorithm>

#include "check/grid.h"
#include "check/normal_table.h"

namespace flash_mla::cli {
namespace {

/// Collects families; in a quick run only every few of a group.
class Collector {
 public:
  Collector(Extent extent, uint64_t seed, std::vector<Family>& families)
      : extent_(extent), seed_(seed), families_(families) {}

  /// `quick_every`: how many families of the group stand for one in a quick run.
  void begin(const char* group, int quick_every) {
    group_ = group;
    every_ = extent_ == Extent::quick ? quick_every : 1;
    count_ = 0;
  }

  void add(DataSpec data, const std::vector<Case>& cases) {
    data.group = group_;
    data.seed = mix(seed_, families_.size() + 1000);
    if (count_++ % every_ == 0) families_.push_back({std::move(data), cases});
  }

 private:
  Extent extent_;
  uint64_t seed_;
  std::vector<Family>& families_;
  const char* group_ = "";
  int every_ = 1;
  int count_ = 0;
};

struct Widths {
  int64_t d;
  int64_t d_v;
  bool separate_v;
};

constexpr Widths kMla = {576, 512, false};

/// Lengths on both sides of page borders, the shortest, and an empty one.
std::vector<int32_t> lengths_around(int64_t page_size) {
  const auto page = static_cast<int32_t>(page_size);
  std::vector<int32_t> lengths = {page, page + 1, 1, 0, 2 * page + 1, 150};
  lengths.push_back(std::max(1, page - 1));
  return lengths;
}

DataSpec make_data(const Widths& widths, int64_t s_q, int64_t h_q, int64_t h_kv, std::vector<int32_t> seqlens) {
  DataSpec data;
  DecodeShape& shape = data.shape;
  shape.batch = static_cast<int64_t>(seqlens.size());
  shape.s_q = s_q;
  shape.h_q = h_q;
  shape.h_kv = h_kv;
  shape.d = widths.d;
  shape.d_v = widths.d_v;
  shape.separate_v = widths.separate_v;
  data.seqlens = std::move(seqlens);
  return data;
}

Case whole(const DataSpec& data) {
  Case one;
  one.s_q = data.cu_seqlens_q.empty() ? data.shape.s_q : 0;
  one.h_q = data.shape.h_q;
  one.causal = data.mask.causal;
  one.out_dtype = data.shape.dtype;
  return one;
}

/// The case, with and without causal mask.
std::vector<Case> both_masks(const DataSpec& data) {
  std::vector<Case> cases(2, whole(data));
  cases[1].causal = true;
  return cases;
}

void make_ragged(DataSpec& data, const std::vector<int32_t>& queries) {
  data.cu_seqlens_q = {0};
  for (size_t i = 0; i < data.seqlens.size(); ++i) {
    data.cu_seqlens_q.push_back(data.cu_seqlens_q.back() + queries[i % queries.size()]);
  }
  data.shape.s_q = 1;
}

void add_pages(Collector& grid) {
  grid.begin("pages", 3);
  for (int64_t page : {1, 16, 63, 64, 256}) {
    for (Values values : {Values::tenth, Values::unit}) {
      for (int64_t h_q : {9, 16, 128}) {
        DataSpec data = make_data(kMla, 2, h_q, 1, lengths_around(page));
        data.shape.page_size = page;
        data.values = values;
        grid.add(data, both_masks(data));
      }
    }
  }
}

void add_latents(Collector& grid) {
  grid.begin("latents", 3);
  for (const Widths& widths : {kMla, Widths{512, 512, false}, Widths{320, 256, false}, Widths{288, 256, false}}) {
    for (Values values : {Values::tenth, Values::unit}) {
      for (int64_t h_q : {1, 8, 16, 40, 128}) {
        DataSpec data = make_data(widths, 1, h_q, 1, {700, 64, 33, 1});
        data.values = values;
        grid.add(data, {whole(data)});
      }
    }
  }
}

void add_gqa(Collector& grid) {
  grid.begin("GQA", 5);
  for (const Widths& widths :
       {Widths{64, 64, true}, Widths{128, 128, true}, Widths{256, 256, true}, Widths{192, 128, true}}) {
    for (const auto& [h_q, h_kv] : {std::pair<int64_t, int64_t>{32, 8}, {16, 16}, {8, 1}, {40, 8}, {6, 2}}) {
      for (int64_t s_q : {1, 3}) {
        DataSpec data = make_data(widths, s_q, h_q, h_kv, {300, 65, 0, 2});
        data.values = s_q == 1 ? Values::tenth : Values::unit;
        grid.add(data, both_masks(data));
      }
    }
  }
}

void add_windows(Collector& grid) {
  grid.begin("windows", 7);
  for (const Widths& widths : {kMla, Widths{128, 128, true}}) {
    for (int64_t window : {1, 16, 63, 64, 65, 130, 1000}) {
      for (int64_t sinks : {0, 1, 4, 70}) {
        for (bool causal : {true, false}) {
          for (int64_t s_q : {1, 4}) {
            DataSpec data = make_data(widths, s_q, 16, widths.separate_v ? 4 : 1, {400, 129, 64, 3, 1, 0});
            data.mask = {causal, window, sinks};
            grid.add(data, {whole(data)});
          }
        }
      }
    }
  }
}

void add_ragged(Collector& grid) {
  grid.begin("ragged q", 3);
  for (const Widths& widths : {kMla, Widths{64, 64, true}}) {
    for (Layout layout : {Layout::dense, Layout::padded, Layout::transposed}) {
      for (const std::vector<int32_t>& queries : {std::vector<int32_t>{1, 0, 3, 2}, {0, 5}, {7, 1, 1}}) {
        for (int64_t window : {0, 100}) {
          DataSpec data = make_data(widths, 1, 24, widths.separate_v ? 8 : 1, {130, 300, 2, 64, 0, 90});
          make_ragged(data, queries);
          data.mask = {true, window, window > 0 ? 3 : 0};
          data.layout = layout;
          grid.add(data, {whole(data)});
        }
      }
    }
  }
}

void add_strides(Collector& grid) {
  grid.begin("strided views", 3);
  for (const Widths& widths : {kMla, Widths{128, 128, true}}) {
    for (Layout layout : {Layout::padded, Layout::transposed}) {
      for (DType dtype : {DType::bfloat16, DType::float16, DType::float32}) {
        DataSpec data = make_data(widths, 3, 12, widths.separate_v ? 3 : 1, {200, 63, 0, 5});
        data.shape.dtype = dtype;
        data.layout = layout;
        std::vector<Case> cases = both_masks(data);
        cases[1].out_dtype = DType::float32;
        grid.add(data, cases);
      }
    }
  }
}

void add_dtypes(Collector& grid) {
  grid.begin("dtypes", 3);
  for (DType dtype : {DType::float16, DType::float32, DType::bfloat16}) {
    for (const Widths& widths : {kMla, Widths{288, 256, false}, Widths{128, 128, true}}) {
      for (Values values : {Values::tenth, Values::unit}) {
        DataSpec data = make_data(widths, 2, 32, widths.separate_v ? 8 : 1, {500, 65, 7, 0});
        data.shape.dtype = dtype;
        data.values = values;
        std::vector<Case> cases = both_masks(data);
        cases[1].out_dtype = DType::float32;
        grid.add(data, cases);
      }
    }
  }
}

void add_widths(Collector& grid) {
  grid.begin("odd widths", 3);
  for (const Widths& widths :
       {Widths{33, 33, false}, Widths{63, 17, false}, Widths{65, 64, false}, Widths{100, 36, false},
        Widths{577, 511, false}, Widths{1024, 1024, false}, Widths{1023, 1000, false}, Widths{16, 40, true},
        Widths{17, 31, true}, Widths{1, 16, true}}) {
    for (DType dtype : {DType::bfloat16, DType::float16, DType::float32}) {
      DataSpec data = make_data(widths, 2, 10, 2, {180, 66, 1});
      data.shape.dtype = dtype;
      grid.add(data, both_masks(data));
    }
  }
  // One column: with one key the output is that key's value; with more, cancellation makes a cosine meaningless.
  DataSpec data = make_data({1, 1, false}, 1, 4, 1, {1, 1, 0});
  grid.add(data, {whole(data)});
}

void add_plans(Collector& grid) {
  grid.begin("plans", 3);
  for (int64_t h_q : {16, 128}) {
    for (const std::vector<int32_t>& lengths :
         {std::vector<int32_t>{900}, {1500, 3, 0, 1}, {64, 64, 64, 64, 64, 64, 64}}) {
      for (PlanMode mode : {PlanMode::standard, PlanMode::batch_invariant}) {
        DataSpec data = make_data(kMla, 2, h_q, 1, lengths);
        data.mask.causal = true;
        if (mode == PlanMode::standard) data.scale = 0.07;
        std::vector<Case> cases;
        for (int workers : {1, 2, 3, 7, 64}) {
          Case one = whole(data);
          one.mode = mode;
          one.workers = workers;
          one.with_lse = workers != 3;
          cases.push_back(one);
        }
        grid.add(data, cases);
      }
    }
  }
}

}  // namespace

std::vector<Family> own_grid(Extent extent, uint64_t seed) {
  std::vector<Family> families;
  Collector grid(extent, seed, families);
  add_pages(grid);
  add_latents(grid);
  add_gqa(grid);
  add_windows(grid);
  add_ragged(grid);
  add_strides(grid);
  add_dtypes(grid);
  add_widths(grid);
  add_plans(grid);
  return families;
}

}  // namespace flash_mla::cli
