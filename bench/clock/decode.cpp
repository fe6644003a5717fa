// One decode of the `sm90` backend, to be run with the emulator in the driver's place (docs/clock.md):
//   decode B S_Q HEADS LENGTHS [SMS [DEVIATION]]
// LENGTHS: tokens a sequence, as `4096`, as `4096+2`, where each sequence has 2 more than the one before it, as
// `4096~`, normally distributed around 4096 with half of that as deviation, or as a list with commas. SMS: 0 for the
// device's. Data are normal around 0 with DEVIATION, 1 if it is not given; page tables are shuffled.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "check/cuda_decoder.h"
#include "check/normal_table.h"
#include "flash_mla/decode.h"

namespace {

using namespace flash_mla;

constexpr int64_t kWidth = 576, kValueWidth = 512, kPage = 64;

std::vector<int32_t> parse_lengths(const std::string& text, int64_t batch, int64_t s_q) {
  const auto least = static_cast<double>(s_q);
  std::vector<int32_t> lengths;
  size_t end = 0;
  const int first = std::stoi(text, &end);
  const char how = end < text.size() ? text[end] : '\0';
  if (how == ',') {
    for (size_t at = 0; at != std::string::npos; at = text.find(',', at)) {
      if (at != 0) ++at;
      lengths.push_back(std::stoi(text.substr(at)));
    }
  } else if (how == '~') {
    std::mt19937 engine(1);
    std::normal_distribution<double> normal(first, first / 2.0);
    std::vector<double> drawn(static_cast<size_t>(batch));
    for (double& length : drawn) length = std::max(normal(engine), least);
    const double mean = std::accumulate(drawn.begin(), drawn.end(), 0.0) / static_cast<double>(batch);
    for (const double length : drawn) lengths.push_back(static_cast<int32_t>(std::max(least, length * first / mean)));
  } else {
    const int step = how == '+' ? std::stoi(text.substr(end + 1)) : 0;
    for (int i = 0; i < batch; ++i) lengths.push_back(first + i * step);
  }
  lengths.resize(static_cast<size_t>(batch), static_cast<int32_t>(s_q));
  return lengths;
}

std::vector<std::byte> rows(int64_t count, double deviation, uint64_t seed) {
  const cli::NormalTable normal(DType::bfloat16, deviation, seed);
  std::vector<std::byte> data(static_cast<size_t>(count * kWidth * 2));
  for (int64_t row = 0; row < count; ++row)
    normal.copy_row(static_cast<uint64_t>(row), kWidth, data.data() + row * kWidth * 2);
  return data;
}

int run(int64_t batch, int64_t s_q, int64_t heads, const std::string& lengths_text, int sms, double deviation) {
  const std::vector<int32_t> lengths = parse_lengths(lengths_text, batch, s_q);
  const int64_t columns = (*std::max_element(lengths.begin(), lengths.end()) + kPage - 1) / kPage;
  int64_t pages = 0;
  for (const int32_t length : lengths) pages += (length + kPage - 1) / kPage;
  std::vector<int32_t> order(static_cast<size_t>(pages)), table(static_cast<size_t>(batch * columns), 0);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(2));
  auto next = order.begin();
  for (int64_t i = 0; i < batch; ++i) {
    const int64_t own = (lengths[static_cast<size_t>(i)] + kPage - 1) / kPage;
    std::copy_n(next, own, table.begin() + i * columns);
    next += own;
  }
  const std::vector<std::byte> keys = rows(pages * kPage, deviation, 3),
                               queries = rows(batch * s_q * heads, deviation, 4);
  std::vector<std::byte> out(static_cast<size_t>(batch * s_q * heads * kValueWidth * 2));
  std::vector<float> lse(static_cast<size_t>(batch * s_q * heads));

  PlanSpec spec;
  spec.backend = "sm90";
  spec.shape.batch = batch;
  spec.shape.s_q = s_q;
  spec.shape.h_q = heads;
  spec.seqlens = lengths.data();
  spec.mask.causal = s_q > 1;
  spec.num_workers = sms;
  DecodeArgs args;
  args.q = ConstTensor(queries.data(), DType::bfloat16, {batch, s_q, heads, kWidth});
  args.k_cache = ConstTensor(keys.data(), DType::bfloat16, {pages, kPage, 1, kWidth});
  args.page_table = ConstTensor(table.data(), DType::int32, {batch, columns});
  args.seqlens = ConstTensor(lengths.data(), DType::int32, {batch});
  args.out = Tensor(out.data(), DType::bfloat16, {batch, s_q, heads, kValueWidth});
  args.lse = Tensor(lse.data(), DType::float32, {batch, heads, s_q});
  const Status status = cli::cuda_decoder()(spec, args);
  if (!status.ok()) std::fprintf(stderr, "decode: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) {
    std::fputs("usage: decode B S_Q HEADS LENGTHS [SMS [DEVIATION]]\n", stderr);
    return 2;
  }
  return run(std::atol(arguments[1]), std::atol(arguments[2]), std::atol(arguments[3]), arguments[4],
             count > 5 ? std::atoi(arguments[5]) : 0, count > 6 ? std::atof(arguments[6]) : 1);
}
