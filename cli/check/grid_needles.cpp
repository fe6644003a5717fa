#include "check/grid.h"
#include "check/normal_table.h"

namespace flash_mla::cli {
namespace {

/// Every query row of a batch has its needle in another place, one after the other: `batch` sequences of `s_k` tokens
/// that are queried by s_q * h_q / h_kv rows each cover that many places.
Family make_family(int64_t batch, int64_t s_k, int64_t s_q, int64_t h_q, int64_t h_kv, int64_t page_size,
                   const Mask& mask, int64_t first_needle, int workers) {
  Family family;
  DataSpec& data = family.data;
  data.group = "needles";
  data.values = Values::needles;
  data.first_needle = first_needle;
  data.mask = mask;
  DecodeShape& shape = data.shape;
  shape.batch = batch;
  shape.s_q = s_q;
  shape.h_q = h_q;
  shape.h_kv = h_kv;
  shape.page_size = page_size;
  data.seqlens.assign(static_cast<size_t>(batch), static_cast<int32_t>(s_k));
  Case one;
  one.s_q = s_q;
  one.h_q = h_q;
  one.causal = mask.causal;
  one.workers = workers;
  family.cases.push_back(one);
  return family;
}

void use_gqa(Family& family) {
  family.data.shape.d = 128;
  family.data.shape.d_v = 128;
  family.data.shape.separate_v = true;
}

}  // namespace

std::vector<Family> needle_grid(Extent extent, uint64_t seed) {
  std::vector<Family> families;
  const bool quick = extent == Extent::quick;
  // Short sequences: batch * s_q * h_q / h_kv >= s_k.
  for (int64_t page : {1, 16, 64, 63}) {
    if (quick && page != 16 && page != 64) continue;
    for (const Mask& mask : {Mask{}, Mask{true, 0, 0}, Mask{true, 70, 5}, Mask{false, 33, 0}}) {
      families.push_back(make_family(3, 190, 4, 16, 1, page, mask, 0, 3));
      Family gqa = make_family(12, 190, 2, 32, 4, page, mask, 0, 5);
      use_gqa(gqa);
      families.push_back(gqa);
    }
  }
  // One long sequence, cut into pieces for many workers.
  const int64_t s_k = quick ? 700 : 4096;
  const int64_t heads = quick ? 64 : 128;
  for (int workers : {2, 8, 64}) {
    for (int64_t first = 0; first < s_k; first += 4 * heads) {
      families.push_back(make_family(1, s_k, 4, heads, 1, 64, Mask{true, 0, 0}, first, workers));
    }
  }
  for (size_t i = 0; i < families.size(); ++i) families[i].data.seed = mix(seed, i);
  return families;
}

}  // namespace flash_mla::cli
