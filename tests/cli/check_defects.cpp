#include "check_defects.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace flash_mla::cli {
namespace {

/// A call that may be changed: the arrays that address memory are copies.
struct Call {
  Call(const PlanSpec& planned, const DecodeArgs& given) : spec(planned), args(given) {
    const auto batch = static_cast<size_t>(spec.shape.batch);
    lengths.assign(spec.seqlens, spec.seqlens + batch);
    if (spec.cu_seqlens_q != nullptr) cu_seqlens_q.assign(spec.cu_seqlens_q, spec.cu_seqlens_q + batch + 1);
    columns = args.page_table.shape[1];
    for (int64_t i = 0; i < spec.shape.batch; ++i) {
      for (int64_t column = 0; column < columns; ++column) {
        pages.push_back(static_cast<const int32_t*>(
            args.page_table.data)[i * args.page_table.strides[0] + column * args.page_table.strides[1]]);
      }
    }
  }

  Status run(const Decoder& sound) {
    const int64_t batch = spec.shape.batch;
    spec.seqlens = lengths.data();
    args.seqlens = ConstTensor(lengths.data(), DType::int32, {batch});
    if (!cu_seqlens_q.empty()) {
      spec.cu_seqlens_q = cu_seqlens_q.data();
      args.cu_seqlens_q = ConstTensor(cu_seqlens_q.data(), DType::int32, {batch + 1});
    }
    args.page_table = ConstTensor(pages.data(), DType::int32, {batch, columns});
    return sound(spec, args);
  }

  int32_t& page(int64_t sequence, int64_t column) { return pages[sequence * columns + column]; }
  /// Whether all pages of all sequences may be read: no window hides any.
  [[nodiscard]] bool all_live() const { return spec.mask.window == 0 && cu_seqlens_q.empty(); }

  PlanSpec spec;
  DecodeArgs args;
  std::vector<int32_t> lengths;
  std::vector<int32_t> cu_seqlens_q;
  std::vector<int32_t> pages;
  int64_t columns = 0;
};

Defect before(const char* name, std::function<void(Call&)> change) {
  return {name, [change = std::move(change)](const Decoder& sound) -> Decoder {
            return [=](const PlanSpec& spec, const DecodeArgs& args) {
              Call call(spec, args);
              change(call);
              // A kernel with this defect would not be refused: being refused must not count as being found.
              const Status status = call.run(sound);
              return status.ok() ? status : sound(spec, args);
            };
          }};
}

Defect after(const char* name, std::function<void(const DecodeArgs&)> change) {
  return {name, [change = std::move(change)](const Decoder& sound) -> Decoder {
            return [=](const PlanSpec& spec, const DecodeArgs& args) {
              Status status = sound(spec, args);
              if (status.ok()) change(args);
              return status;
            };
          }};
}

/// Calls visit(row, lse) for every query row: `row` is its first element in out, `lse` null if there is none.
void for_each_row(const DecodeArgs& args, const std::function<void(std::byte* row, float* lse)>& visit) {
  const Tensor& out = args.out;
  const bool ragged = out.rank == 3;
  const int64_t batch = ragged ? 1 : out.shape[0];
  const int first = ragged ? 0 : 1;  // axis of the query tokens
  for (int64_t i = 0; i < batch; ++i) {
    for (int64_t token = 0; token < out.shape[first]; ++token) {
      for (int64_t head = 0; head < out.shape[first + 1]; ++head) {
        const int64_t offset =
            (ragged ? 0 : i * out.strides[0]) + token * out.strides[first] + head * out.strides[first + 1];
        auto* row = static_cast<std::byte*>(out.data) + offset * static_cast<int64_t>(size_of(out.dtype));
        float* lse = nullptr;
        if (!args.lse.absent()) {
          const auto& strides = args.lse.strides;
          lse = static_cast<float*>(args.lse.data) + (ragged ? head * strides[0] + token * strides[1]
                                                             : i * strides[0] + head * strides[1] + token * strides[2]);
        }
        visit(row, lse);
      }
    }
  }
}

int64_t width_of(const DecodeArgs& args) {
  return args.out.shape[args.out.rank - 1];
}

void for_each_element(const DecodeArgs& args, const std::function<double(double)>& change) {
  for_each_row(args, [&](std::byte* row, float*) {
    for (int64_t i = 0; i < width_of(args); ++i) store(args.out.dtype, row, i, change(load(args.out.dtype, row, i)));
  });
}

void for_each_lse(const DecodeArgs& args, const std::function<float(float)>& change) {
  for_each_row(args, [&](std::byte*, float* lse) {
    if (lse != nullptr) *lse = change(*lse);
  });
}

/// Cuts the cache into pages of one token, so that a sequence becomes a list of tokens that can be edited. False where
/// its strides forbid that.
bool list_tokens(Call& call, const std::function<void(std::vector<int32_t>& tokens)>& edit) {
  DecodeShape& shape = call.spec.shape;
  const auto cuttable = [&](const ConstTensor& cache) {
    return cache.absent() || cache.shape[1] == 1 || cache.strides[0] == cache.shape[1] * cache.strides[1];
  };
  if (!call.all_live() || !cuttable(call.args.k_cache) || !cuttable(call.args.v_cache)) return false;
  std::vector<std::vector<int32_t>> lists;
  size_t longest = 1;
  for (int64_t i = 0; i < shape.batch; ++i) {
    std::vector<int32_t> tokens;
    for (int64_t t = 0; t < call.lengths[i]; ++t) {
      tokens.push_back(static_cast<int32_t>(call.page(i, t / shape.page_size) * shape.page_size + t % shape.page_size));
    }
    edit(tokens);
    call.lengths[i] = static_cast<int32_t>(tokens.size());
    longest = std::max(longest, tokens.size());
    lists.push_back(std::move(tokens));
  }
  call.columns = static_cast<int64_t>(longest);
  call.pages.assign(lists.size() * longest, kDeadPage);
  for (size_t i = 0; i < lists.size(); ++i)
    std::copy(lists[i].begin(), lists[i].end(), call.pages.begin() + i * longest);
  for (ConstTensor* cache : {&call.args.k_cache, &call.args.v_cache}) {
    if (cache->absent()) continue;
    if (cache->shape[1] > 1) cache->strides[0] = cache->strides[1];
    cache->shape[0] *= cache->shape[1];
    cache->shape[1] = 1;
  }
  shape.page_size = 1;
  return true;
}

std::vector<Defect> wrong_keys() {
  return {
      before("the last token is dropped",
             [](Call& call) {
               for (int32_t& length : call.lengths) length = std::max(0, length - 1);
             }),
      before("a token in the middle is dropped",
             [](Call& call) {
               list_tokens(call, [](std::vector<int32_t>& tokens) {
                 if (tokens.size() > 2) tokens.erase(tokens.begin() + static_cast<int64_t>(tokens.size() / 2));
               });
             }),
      before("in long sequences alone, the token before a border of 256 is dropped",
             [](Call& call) {
               list_tokens(call, [](std::vector<int32_t>& tokens) {
                 if (tokens.size() > 600) tokens.erase(tokens.begin() + 255);
               });
             }),
      before("the first token counts twice",
             [](Call& call) {
               list_tokens(call, [](std::vector<int32_t>& tokens) {
                 if (!tokens.empty()) tokens.insert(tokens.begin(), tokens.front());
               });
             }),
      before("one token past the end is read",
             [](Call& call) {
               for (int64_t i = 0; i < call.spec.shape.batch; ++i) {
                 if (call.lengths[i] % call.spec.shape.page_size != 0) ++call.lengths[i];
               }
             }),
      before("only the first half is merged",
             [](Call& call) {
               for (int32_t& length : call.lengths) length = length > 64 ? (length + 1) / 2 : length;
             }),
      before("a page is read twice instead of its neighbour",
             [](Call& call) {
               for (int64_t i = 0; call.all_live() && i < call.spec.shape.batch; ++i) {
                 if (call.lengths[i] > call.spec.shape.page_size) call.page(i, 0) = call.page(i, 1);
               }
             }),
      before("a page of another sequence is read",
             [](Call& call) {
               if (!call.all_live() || call.spec.shape.batch < 2) return;
               if (call.lengths[0] > 0 && call.lengths[1] > 0) call.page(0, 0) = call.page(1, 0);
             }),
      before("the lengths of another step are used",
             [](Call& call) {
               for (size_t i = 1; i < call.lengths.size(); ++i) {
                 call.lengths[i] = std::min(call.lengths[i], call.lengths[i - 1]);
               }
             }),
      before("every head reads the first KV head", [](Call& call) { call.args.k_cache.strides[2] = 0; }),
      before("V is taken from K",
             [](Call& call) {
               if (call.args.v_cache.absent() || call.spec.shape.d_v > call.spec.shape.d) return;
               call.args.v_cache = call.args.k_cache;
               call.args.v_cache.shape[3] = call.spec.shape.d_v;
             }),
  };
}

std::vector<Defect> wrong_masks() {
  return {
      before("hidden keys are seen", [](Call& call) { call.spec.mask.causal = false; }),
      before("visible keys are hidden", [](Call& call) { call.spec.mask.causal = true; }),
      before("the window is one too wide",
             [](Call& call) { call.spec.mask.window += call.spec.mask.window > 0 ? 1 : 0; }),
      before("the window is one too narrow",
             [](Call& call) { call.spec.mask.window -= call.spec.mask.window > 1 ? 1 : 0; }),
      before("sinks are forgotten", [](Call& call) { call.spec.mask.sinks = 0; }),
      before("there is one sink too many", [](Call& call) { ++call.spec.mask.sinks; }),
      before("the given scale is ignored", [](Call& call) { call.args.scale.reset(); }),
      before("a ragged border is off by one",
             [](Call& call) {
               auto& cu = call.cu_seqlens_q;
               for (size_t i = 1; i + 1 < cu.size(); ++i) {
                 if (cu[i - 1] < cu[i] && cu[i] < cu[i + 1]) {
                   --cu[i];
                   return;
                 }
               }
             }),
  };
}

std::vector<Defect> wrong_outputs() {
  constexpr auto kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {
      after("out is zero", [](const DecodeArgs& args) { for_each_element(args, [](double) { return 0.0; }); }),
      after("out is half a per cent too large",
            [](const DecodeArgs& args) { for_each_element(args, [](double value) { return value * 1.005; }); }),
      after("one element of a row is lost",
            [](const DecodeArgs& args) {
              for_each_row(args, [&](std::byte* row, float*) { store(args.out.dtype, row, width_of(args) / 2, 0); });
            }),
      after("the last row is never written",
            [](const DecodeArgs& args) {
              std::byte* last = nullptr;
              for_each_row(args, [&](std::byte* row, float*) { last = row; });
              std::memset(last, kPoison, static_cast<size_t>(width_of(args)) * size_of(args.out.dtype));
            }),
      after("the element after the last row is written",
            [](const DecodeArgs& args) {
              std::byte* last = nullptr;
              for_each_row(args, [&](std::byte* row, float*) { last = row; });
              store(args.out.dtype, last, width_of(args), 0);
            }),
      after("a row without keys is NaN",
            [=](const DecodeArgs& args) {
              for_each_row(args, [&](std::byte* row, const float* lse) {
                if (lse != nullptr && *lse == -kInfinity) store(args.out.dtype, row, 0, kNaN);
              });
            }),
      after("a row without keys holds a small number",
            [=](const DecodeArgs& args) {
              for_each_row(args, [&](std::byte* row, const float* lse) {
                if (lse != nullptr && *lse == -kInfinity) store(args.out.dtype, row, 0, 1e-5);
              });
            }),
      after("lse of a row without keys is +inf",
            [=](const DecodeArgs& args) {
              for_each_lse(args, [=](float lse) { return lse == -kInfinity ? kInfinity : lse; });
            }),
      after("lse is a base-2 logarithm",
            [](const DecodeArgs& args) { for_each_lse(args, [](float lse) { return lse * 1.442695F; }); }),
      after("lse is off by 1e-4",
            [](const DecodeArgs& args) { for_each_lse(args, [](float lse) { return lse + 1e-4F; }); }),
      after("lse is never written",
            [=](const DecodeArgs& args) {
              for_each_lse(args, [](float) { return std::numeric_limits<float>::quiet_NaN(); });
            }),
      {"every call is refused",
       [](const Decoder&) -> Decoder {
         return [](const PlanSpec&, const DecodeArgs&) { return Status(StatusCode::unsupported, "not today"); };
       }},
  };
}

}  // namespace

std::vector<Defect> defects() {
  std::vector<Defect> all;
  for (auto* part : {wrong_keys, wrong_masks, wrong_outputs}) {
    for (Defect& defect : part()) all.push_back(std::move(defect));
  }
  return all;
}

}  // namespace flash_mla::cli
