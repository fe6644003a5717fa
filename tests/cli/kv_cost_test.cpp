// The cost model, configs in all their forms, and the table of known models.
#include <gtest/gtest.h>

#include "kv_cost/config.h"
#include "kv_cost/report.h"
#include "replay/model.h"

namespace flash_mla::cli {
namespace {

constexpr Precision kBf16{};
constexpr Precision kFp8WithScales{8, 128, 4, false};
constexpr Precision kFlatFp8{8, 0, 4, true};

ModelCache known(const char* name) {
  const Result<ModelCache> model = find_known_model(name);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? model.value() : ModelCache{};
}

ModelCache parse(const std::string& text) {
  const Result<ModelCache> model = parse_config(text, "config.json", "test");
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? model.value() : ModelCache{};
}

std::string error_of(const std::string& text) {
  return parse_config(text, "config.json", "test").status().message();
}

int64_t expanded(const char* name) {
  const ModelCache model = known(name);
  return bytes_per_token(with_kv_heads(model, model.query_heads), kBf16);
}

TEST(KvCost, BytesPerTokenOfPublishedModels) {
  EXPECT_EQ(bytes_per_token(known("llama-2-7b"), kBf16), 524288);
  EXPECT_EQ(bytes_per_token(known("llama-3-8b"), kBf16), 131072);
  EXPECT_EQ(bytes_per_token(known("deepseek-v2-lite"), kBf16), 31104);
  EXPECT_EQ(bytes_per_token(known("deepseek-v3"), kBf16), 70272);
  EXPECT_EQ(bytes_per_token(known("deepseek-r1"), kBf16), 70272);
  EXPECT_EQ(bytes_per_token(known("kimi-k2"), kBf16), 70272);
  EXPECT_EQ(bytes_per_token(known("glm-4.7-flash"), kBf16), 54144);
  EXPECT_EQ(bytes_per_token(known("mistral-small-4"), kBf16), 23040);
  EXPECT_EQ(bytes_per_token(known("falcon-7b"), kBf16), 8192);     // MQA: 32 layers of 1 x (64 + 64)
  EXPECT_EQ(bytes_per_token(known("gpt2"), kBf16), 36864);         // 12 layers of 12 x (64 + 64)
  EXPECT_EQ(bytes_per_token(known("minicpm3"), kBf16), 62 * 576);  // 256 + 32
}

TEST(KvCost, TheSameModelsWithHeadsInTheCache) {
  EXPECT_EQ(expanded("deepseek-v2-lite"), 276480);
  EXPECT_EQ(expanded("deepseek-v3"), 4997120);
  EXPECT_EQ(expanded("kimi-k2"), 2498560);
  EXPECT_EQ(expanded("glm-4.7-flash"), 962560);
  // The published figure of 589,824 takes keys of 64 + 64 and values of 128.
  EXPECT_EQ(expanded("mistral-small-4"), 589824);
}

TEST(KvCost, QuantisedFormats) {
  EXPECT_EQ(bytes_per_token(known("deepseek-v3"), kFp8WithScales), 40016);  // 61 x 656
  EXPECT_EQ(bytes_per_token(known("deepseek-v3"), kFlatFp8), 61 * 576);
  EXPECT_EQ(bytes_per_token(known("deepseek-v3"), {4, 128, 4, false}), 61 * (256 + 16 + 128));
  EXPECT_EQ(bytes_per_token(known("deepseek-v3"), {4, 16, 1, true}), 61 * (288 + 36));
  EXPECT_EQ(bytes_per_token(known("deepseek-v3.2"), kFp8WithScales), 61 * (656 + 132));
  EXPECT_EQ(bytes_per_token(known("llama-3-8b"), kFp8WithScales), 32 * 8 * 2 * 132);
  EXPECT_EQ(Precision({4, 0, 4, false}).row_bytes(3), 2);  // half bytes are rounded up
  EXPECT_EQ(Precision({8, 128, 4, false}).row_bytes(129), 129 + 8);
}

TEST(KvCost, PagesAreRoundedUp) {
  const ModelCache model = known("deepseek-v3");
  // One page of one layer: 73,728 bytes in bf16, 41,984 in FP8 with scales.
  EXPECT_EQ(cache_bytes(model, kBf16, {1, 1, 64}).value(), 61 * 73728);
  EXPECT_EQ(cache_bytes(model, kBf16, {1, 64, 64}).value(), 61 * 73728);
  EXPECT_EQ(cache_bytes(model, kBf16, {1, 65, 64}).value(), 61 * 73728 * 2);
  EXPECT_EQ(cache_bytes(model, kFp8WithScales, {3, 64, 64}).value(), 3 * 61 * 41984);
  EXPECT_EQ(cache_bytes(model, kBf16, {1, 65, 1}).value(), 65 * 70272);
  EXPECT_EQ(cache_bytes(model, kBf16, {1, 0, 64}).value(), 0);
}

TEST(KvCost, AWindowHoldsThePagesThatItCanLieAcross) {
  const LayerGroup group{LayerGroup::Kind::heads, "sliding window", 1, 1, 1, 1, 128};
  EXPECT_EQ(group.held_tokens(64, 64), 64);
  EXPECT_EQ(group.held_tokens(128, 64), 128);
  EXPECT_EQ(group.held_tokens(129, 64), 192);  // tokens 1 to 128: of pages 0, 1 and 2
  EXPECT_EQ(group.held_tokens(1000000, 64), 192);
  EXPECT_EQ(group.held_tokens(1000000, 1), 128);
  const LayerGroup one{LayerGroup::Kind::heads, "sliding window", 1, 1, 1, 1, 1};
  EXPECT_EQ(one.held_tokens(1000, 64), 64);
}

TEST(KvCost, WindowsBoundTheCost) {
  const ModelCache mistral = known("mistral-7b-v0.1");
  EXPECT_EQ(bytes_per_token(mistral, kBf16), 131072);
  EXPECT_EQ(bytes_per_token_past_windows(mistral, kBf16), 0);
  EXPECT_EQ(cache_bytes(mistral, kBf16, {1, 1 << 20, 1}).value(), 4096 * 131072);
  EXPECT_EQ(longest_length(mistral, kBf16, {1, 1, 1}, 4096LL * 131072), kLongestLength);
  EXPECT_EQ(longest_length(mistral, kBf16, {1, 1, 1}, 4096LL * 131072 - 1), 4095);
  // Five layers of six are windows: 62 / 6 = 10 full ones.
  EXPECT_EQ(bytes_per_token_past_windows(known("gemma-3-27b"), kBf16), 10 * 16 * 256 * 2);
  EXPECT_EQ(bytes_per_token_past_windows(known("gemma-2-9b"), kBf16), 21 * 8 * 512 * 2);
}

TEST(KvCost, WhatABudgetPaysFor) {
  const ModelCache model = known("deepseek-v3");
  const int64_t page = 61 * 73728;
  EXPECT_EQ(longest_length(model, kBf16, {1, 1, 64}, page - 1), 0);
  EXPECT_EQ(longest_length(model, kBf16, {1, 1, 64}, page), 64);
  EXPECT_EQ(longest_length(model, kBf16, {2, 1, 64}, 5 * page), 128);
  EXPECT_EQ(largest_batch(model, kBf16, {1, 65, 64}, 2 * page - 1), 0);
  EXPECT_EQ(largest_batch(model, kBf16, {1, 65, 64}, 7 * page), 3);
  for (const KnownModel& any : known_models()) {  // both ways agree: what is answered fits, and one more does not
    const ModelCache one = known(any.name);
    const int64_t budget = 80LL << 30;
    const int64_t length = longest_length(one, kFp8WithScales, {16, 1, 64}, budget);
    const int64_t batch = largest_batch(one, kFp8WithScales, {1, 10000, 64}, budget);
    EXPECT_LE(cache_bytes(one, kFp8WithScales, {16, length, 64}).value(), budget) << any.name;
    EXPECT_LE(cache_bytes(one, kFp8WithScales, {batch, 10000, 64}).value(), budget) << any.name;
    EXPECT_GT(cache_bytes(one, kFp8WithScales, {batch + 1, 10000, 64}).value(), budget) << any.name;
    if (length < kLongestLength) {
      EXPECT_GT(cache_bytes(one, kFp8WithScales, {16, length + 1, 64}).value(), budget) << any.name;
    }
  }
}

TEST(KvCost, MoreThanAnIntegerCountsIsRefused) {
  EXPECT_EQ(cache_bytes(known("deepseek-v3"), kBf16, {kLargestBatch, kLongestLength, 64}).status().message(),
            "1099511627776 sequences of 1099511627776 tokens need more bytes than 2^63 - 1: give a smaller --batch or "
            "--length");
  // The largest config that is accepted.
  const ModelCache huge = parse(
      "{\"model_type\": \"longcat_flash\", \"num_layers\": 131072, \"num_attention_heads\": 131072, \"head_dim\": "
      "131072}");
  EXPECT_EQ(bytes_per_token(huge, {16, 1, 8, false}), int64_t{1} << 54);
  EXPECT_FALSE(cache_bytes(huge, kBf16, {1, 1 << 20, 64}).ok());
}

TEST(KvCost, TheModelsOfReplayAreTheSame) {
  for (const ModelGeometry& geometry : models()) {
    const ModelCache model = known(geometry.name);
    ASSERT_FALSE(model.groups.empty()) << geometry.name;
    EXPECT_EQ(model.groups[0].layers, geometry.layers) << geometry.name;
    EXPECT_EQ(model.groups[0].key, geometry.latent) << geometry.name;
    EXPECT_EQ(model.groups[0].value, geometry.rope) << geometry.name;
    EXPECT_EQ(model.query_heads, geometry.heads) << geometry.name;
  }
}

const std::string kHeads = "\"num_attention_heads\": 8, \"hidden_size\": 512, \"num_hidden_layers\": ";

TEST(KvCostConfig, HeadsUnderAllTheirNames) {
  EXPECT_EQ(bytes_per_token(parse("{" + kHeads + "2}"), kBf16), 2 * 8 * 128 * 2);
  EXPECT_EQ(parse("{" + kHeads + "2}").attention, "MHA");
  EXPECT_EQ(bytes_per_token(parse("{" + kHeads + "2, \"num_key_value_heads\": 2}"), kBf16), 2 * 2 * 128 * 2);
  EXPECT_EQ(parse("{" + kHeads + "2, \"num_key_value_heads\": 2}").attention, "GQA");
  EXPECT_EQ(bytes_per_token(parse("{" + kHeads + "2, \"num_key_value_heads\": null}"), kBf16), 2 * 8 * 128 * 2);
  EXPECT_EQ(bytes_per_token(parse("{" + kHeads + "2, \"head_dim\": 32, \"v_head_dim\": 16}"), kBf16), 2 * 8 * 48 * 2);
  EXPECT_EQ(bytes_per_token(parse(R"({"n_layer": 3, "n_head": 4, "n_embd": 256, "multi_query": true})"), kBf16),
            3 * 128 * 2);
  EXPECT_EQ(parse(R"({"n_layer": 3, "n_head": 4, "n_embd": 256, "multi_query": true})").attention, "MQA");
  EXPECT_EQ(bytes_per_token(parse(R"({"num_layers": 3, "num_attention_heads": 4, "kv_channels": 8,
                                      "multi_query_attention": true, "multi_query_group_num": 2})"),
                            kBf16),
            3 * 2 * 16 * 2);
  EXPECT_EQ(bytes_per_token(parse(R"({"num_hidden_layers": 3, "num_attention_heads": 8, "hidden_size": 512,
                                      "multi_query": true, "new_decoder_architecture": true, "num_kv_heads": 4})"),
                            kBf16),
            3 * 4 * 128 * 2);
  EXPECT_EQ(bytes_per_token(parse(R"({"n_layers": 3, "n_heads": 4, "d_model": 64, "attn_config": {"kv_n_heads": 2}})"),
                            kBf16),
            3 * 2 * 32 * 2);
  EXPECT_EQ(bytes_per_token(parse("{" + kHeads + "2, \"num_key_value_heads\": [1, 4]}"), kBf16), (1 + 4) * 128 * 2);
}

TEST(KvCostConfig, NestedInTextConfig) {
  EXPECT_EQ(bytes_per_token(parse("{\"num_hidden_layers\": 99, \"text_config\": {" + kHeads + "2}}"), kBf16),
            2 * 8 * 128 * 2);
  EXPECT_EQ(bytes_per_token(parse("{\"thinker_config\": {\"text_config\": {" + kHeads + "2}}}"), kBf16),
            2 * 8 * 128 * 2);
}

TEST(KvCostConfig, LayersOfDifferentKinds) {
  const ModelCache model = parse("{" + kHeads + R"(4, "sliding_window": 100, "attention_chunk_size": 50, "layer_types":
      ["full_attention", "sliding_attention", "chunked_attention", "linear_attention"]})");
  EXPECT_EQ(model.attention, "MHA, windows, some layers without cache");
  ASSERT_EQ(model.groups.size(), 4u);
  EXPECT_EQ(model.groups[0].window, 0);
  EXPECT_EQ(model.groups[1].window, 100);
  EXPECT_EQ(model.groups[2].window, 50);
  EXPECT_EQ(model.groups[3].kind, LayerGroup::Kind::none);
  EXPECT_EQ(cache_bytes(model, kBf16, {1, 1000, 1}).value(), (1000 + 100 + 50) * 8 * 128 * 2);
}

/// full[i] says whether layer i is a full one, in order of the groups.
void expect_full_layers(const std::string& config, int64_t full, int64_t others, int64_t window) {
  const ModelCache model = parse(config);
  int64_t counted_full = 0;
  int64_t counted_others = 0;
  for (const LayerGroup& group : model.groups) {
    const bool is_full = group.window == 0 && group.kind != LayerGroup::Kind::none;
    (is_full ? counted_full : counted_others) += group.layers;
    if (!is_full) {
      EXPECT_EQ(group.window, window) << config;
    }
  }
  EXPECT_EQ(counted_full, full) << config;
  EXPECT_EQ(counted_others, others) << config;
}

TEST(KvCostConfig, MixesWithoutLayerTypes) {
  const std::string window = ", \"sliding_window\": 64";
  expect_full_layers("{\"model_type\": \"mistral\", " + kHeads + "7" + window + "}", 0, 7, 64);
  expect_full_layers("{\"model_type\": \"mistral\", \"sliding_window\": null, " + kHeads + "7}", 7, 0, 0);
  expect_full_layers("{\"model_type\": \"qwen2\", \"use_sliding_window\": false, " + kHeads + "7" + window + "}", 7, 0,
                     0);
  expect_full_layers("{\"model_type\": \"qwen2\", \"use_sliding_window\": true, \"max_window_layers\": 5, " + kHeads +
                         "7" + window + "}",
                     5, 2, 64);
  expect_full_layers("{\"model_type\": \"gemma2\", " + kHeads + "7" + window + "}", 3, 4, 64);
  expect_full_layers("{\"model_type\": \"gemma3_text\", " + kHeads + "13" + window + "}", 2, 11, 64);
  expect_full_layers("{\"sliding_window_pattern\": 4, " + kHeads + "13" + window + "}", 3, 10, 64);
  expect_full_layers("{\"full_attention_interval\": 4, " + kHeads + "13}", 3, 10, 0);
  expect_full_layers("{\"attn_layer_period\": 8, \"attn_layer_offset\": 4, " + kHeads + "32}", 4, 28, 0);
  expect_full_layers("{\"no_rope_layers\": [1, 1, 0], \"attention_chunk_size\": 9, " + kHeads + "3}", 1, 2, 9);
  expect_full_layers("{\"no_rope_layers\": [], \"attention_chunk_size\": 9, " + kHeads + "9}", 2, 7, 9);
  expect_full_layers("{\"layers_block_type\": [\"mamba\", \"attention\"], " + kHeads + "2}", 1, 1, 0);
  expect_full_layers(R"({"hybrid_override_pattern": "M-M*-", "num_attention_heads": 2, "head_dim": 4})", 1, 4, 0);
  expect_full_layers("{\"num_kv_shared_layers\": 3, " + kHeads + "10}", 7, 3, 0);
}

TEST(KvCostConfig, WiderHeadsInFullLayers) {
  const ModelCache model =
      parse("{" + kHeads + R"(2, "sliding_window": 64, "num_key_value_heads": 4, "global_head_dim": 128,
      "num_global_key_value_heads": 2, "layer_types": ["sliding_attention", "full_attention"]})");
  EXPECT_EQ(bytes_per_token(model, kBf16), (4 * 128 + 2 * 256) * 2);
}

TEST(KvCostConfig, Latents) {
  const std::string mla = R"("kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_attention_heads": 16)";
  EXPECT_EQ(bytes_per_token(parse("{\"num_hidden_layers\": 3, " + mla + "}"), kBf16), 3 * 1152);
  EXPECT_EQ(parse("{\"num_hidden_layers\": 3, " + mla + "}").head_value, 0);  // not known: nothing to compare with
  EXPECT_EQ(bytes_per_token(parse("{\"num_hidden_layers\": 3, \"index_head_dim\": 128, " + mla + "}"), kBf16),
            3 * (1152 + 132));
  EXPECT_EQ(bytes_per_token(parse("{\"model_type\": \"longcat_flash\", \"num_layers\": 3, " + mla + "}"), kBf16),
            6 * 1152);
  const ModelCache linear =
      parse("{\"num_hidden_layers\": 5, \"linear_attn_config\": {\"full_attn_layers\": [2, 5]}, " + mla + "}");
  EXPECT_EQ(bytes_per_token(linear, kBf16), 2 * 1152);
  // kv_lora_rank: null is multi-head attention.
  EXPECT_EQ(parse("{\"kv_lora_rank\": null, " + kHeads + "2}").attention, "MHA");
}

TEST(KvCostConfig, WhatIsWrongIsNamed) {
  EXPECT_EQ(error_of("{"), "config.json: is not a JSON object");
  EXPECT_EQ(error_of("[]"), "config.json: is not a JSON object");
  EXPECT_EQ(error_of("{}"), "config.json: the key num_hidden_layers (or n_layer, num_layers, n_layers) is missing");
  EXPECT_EQ(error_of(R"({"num_hidden_layers": 2})"),
            "config.json: the key num_attention_heads (or n_head, n_heads) is missing");
  EXPECT_EQ(error_of(R"({"num_hidden_layers": 2, "num_attention_heads": 8})"),
            "config.json: the key hidden_size (or n_embd, d_model) is missing");
  for (const char* value : {"0", "-1", "2.5", "\"2\"", "131073", "18446744073709551615", "true"}) {
    EXPECT_EQ(error_of(std::string("{\"num_hidden_layers\": ") + value + "}"),
              std::string("config.json: num_hidden_layers is ") + value + ": must be an integer of 1 to 131072");
  }
  EXPECT_EQ(error_of(R"({"num_hidden_layers": 2, "num_attention_heads": 3, "hidden_size": 512})"),
            "config.json: hidden_size is 512: must be a multiple of num_attention_heads, 3, where head_dim is missing");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"num_key_value_heads\": 3}"),
            "config.json: num_key_value_heads is 3: must divide num_attention_heads, 8");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"num_key_value_heads\": [1]}"),
            "config.json: num_key_value_heads lists 1 layers: must be 2");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"num_key_value_heads\": [1, 0]}"),
            "config.json: num_key_value_heads lists 0: must be integers of 1 to 131072");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"layer_types\": [\"full_attention\"]}"),
            "config.json: layer_types must be an array of 2 names, one a layer");
  EXPECT_EQ(error_of("{" + kHeads + "1, \"layer_types\": [\"abacus\"]}"),
            "config.json: layer_types holds 'abacus': must be full_attention, sliding_attention, chunked_attention, "
            "linear_attention, attention, hybrid, global, local, mamba, mamba2, recurrent or conv");
  EXPECT_EQ(error_of("{" + kHeads + "1, \"layer_types\": [\"sliding_attention\"]}"),
            "config.json: the key sliding_window is missing");
  EXPECT_EQ(error_of("{" + kHeads + "1, \"layer_types\": [\"linear_attention\"]}"),
            "config.json: none of its layers has a KV cache");
  EXPECT_EQ(error_of("{" + kHeads + "1, \"sliding_window\": 0}"),
            "config.json: sliding_window is 0: must be an integer of 1 to 1073741824");
  EXPECT_EQ(error_of(R"({"num_hidden_layers": 2, "kv_lora_rank": 512})"),
            "config.json: the key qk_rope_head_dim is missing");
  EXPECT_EQ(error_of(R"({"num_hidden_layers": 2, "is_encoder_decoder": true})"),
            "config.json: is_encoder_decoder is true: only models with one decoder are counted");
  EXPECT_EQ(error_of(R"({"hybrid_override_pattern": "M?"})"),
            "config.json: hybrid_override_pattern holds '?': must be of M, -, E and *");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"linear_attn_config\": {\"full_attn_layers\": [3]}}"),
            "config.json: full_attn_layers holds 3: must be 1 to 2");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"linear_attn_config\": {}}"),
            "config.json: linear_attn_config must hold the array full_attn_layers");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"num_kv_shared_layers\": 2}"),
            "config.json: num_kv_shared_layers is 2: must be 0 to 1");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"attn_layer_period\": 2, \"attn_layer_offset\": 2}"),
            "config.json: attn_layer_offset is 2: must be 0 to 1");
  EXPECT_EQ(error_of("{" + kHeads + "2, \"no_rope_layers\": [1], \"attention_chunk_size\": 9}"),
            "config.json: no_rope_layers must be an array of 2 zeros and ones");
  EXPECT_EQ(error_of(R"({"n_layers": 3, "n_heads": 4, "d_model": 64, "attn_config": {"kv_n_heads": 9}})"),
            "config.json: attn_config.kv_n_heads is 9: must be an integer of 1 to 4");
  EXPECT_EQ(read_config("/nonexistent/config.json").status().message(),
            "config '/nonexistent/config.json' cannot be read: No such file or directory");
  EXPECT_EQ(read_config("/").status().message(), "config '/' cannot be read: it is a folder");
}

}  // namespace
}  // namespace flash_mla::cli
