/* plan, decode, reference, append and merge on cases small enough to work out by hand. */
#include <stdlib.h>

#include "check.h"

static const double ln3 = 1.0986122886681098;
static const double ln4 = 1.3862943611198906;

/* Two sequences with pages of one token and keys and values apart. The first has two keys whose scores are 0 and ln 3,
 * so its weights are 1/4 and 3/4; the second has none. Page 0 belongs to nobody and holds NaN. */
typedef struct {
  float q[2][1][1][2];
  float k[3][1][1][2];
  float v[3][1][1][2];
  int32_t page_table[2][2];
  int32_t seqlens[2];
  float out[2][1][1][2];
  float lse[2][1][1];
  double scale;
  flash_mla_plan_spec spec;
  flash_mla_decode_args args;
} two_keys;

static void two_keys_init(two_keys* c) {
  static const float q[2][2] = {{1, 0}, {1, 1}};
  static const float v[3][2] = {{NAN, NAN}, {5, -2}, {1, 2}};
  static const int32_t page_table[2][2] = {{2, 1}, {-7, 1000}};
  const int64_t q_shape[] = {2, 1, 1, 2}, cache_shape[] = {3, 1, 1, 2}, table_shape[] = {2, 2}, lse_shape[] = {2, 1, 1};
  const float k[3][2] = {{NAN, NAN}, {(float)ln3, 9}, {0, -9}};
  memset(c, 0, sizeof *c);
  memcpy(c->q, q, sizeof q);
  memcpy(c->k, k, sizeof k);
  memcpy(c->v, v, sizeof v);
  memcpy(c->page_table, page_table, sizeof page_table);
  c->seqlens[0] = 2;
  c->scale = 1;

  flash_mla_plan_spec_init(&c->spec);
  c->spec.dtype = c->spec.out_dtype = FLASH_MLA_FLOAT32;
  c->spec.batch = 2;
  c->spec.h_q = 1;
  c->spec.d = c->spec.d_v = 2;
  c->spec.page_size = 1;
  c->spec.separate_v = 1;
  c->spec.seqlens = c->seqlens;

  c->args.q = flash_mla_const_dense(c->q, FLASH_MLA_FLOAT32, 4, q_shape);
  c->args.k_cache = flash_mla_const_dense(c->k, FLASH_MLA_FLOAT32, 4, cache_shape);
  c->args.v_cache = flash_mla_const_dense(c->v, FLASH_MLA_FLOAT32, 4, cache_shape);
  c->args.page_table = flash_mla_const_dense(c->page_table, FLASH_MLA_INT32, 2, table_shape);
  c->args.seqlens = flash_mla_const_dense(c->seqlens, FLASH_MLA_INT32, 1, table_shape);
  c->args.out = flash_mla_dense(c->out, FLASH_MLA_FLOAT32, 4, q_shape);
  c->args.lse = flash_mla_dense(c->lse, FLASH_MLA_FLOAT32, 3, lse_shape);
  c->args.scale = &c->scale;
}

static void* workspace_for(const flash_mla_plan* plan, flash_mla_decode_args* args) {
  const size_t size = flash_mla_plan_workspace_size(plan);
  const size_t rounded = (size / FLASH_MLA_WORKSPACE_ALIGNMENT + 1) * FLASH_MLA_WORKSPACE_ALIGNMENT;
  char* memory = (char*)malloc(rounded + FLASH_MLA_WORKSPACE_ALIGNMENT);
  const size_t past = (size_t)((uintptr_t)memory % FLASH_MLA_WORKSPACE_ALIGNMENT);
  args->workspace = memory + (FLASH_MLA_WORKSPACE_ALIGNMENT - past);
  args->workspace_size = size;
  return memory;
}

static void decode_by_hand(const char* backend) {
  two_keys c;
  flash_mla_plan* plan;
  void* workspace;
  two_keys_init(&c);
  c.spec.backend = backend;
  CHECK_OK(flash_mla_plan_create(&c.spec, &plan));
  if (plan == NULL) return;
  CHECK(strcmp(flash_mla_plan_backend(plan), backend) == 0);
  CHECK(flash_mla_plan_num_workers(plan) >= 1);
  CHECK(flash_mla_plan_num_units(plan) >= flash_mla_plan_num_split_units(plan));

  workspace = workspace_for(plan, &c.args);
  c.lse[1][0][0] = c.out[1][0][0][0] = 77;
  CHECK_OK(flash_mla_decode(plan, &c.args));
  CHECK_NEAR(c.out[0][0][0][0], 0.25 * 1 + 0.75 * 5, 1e-5);
  CHECK_NEAR(c.out[0][0][0][1], 0.25 * 2 - 0.75 * 2, 1e-5);
  CHECK_NEAR(c.lse[0][0][0], ln4, 1e-5);
  CHECK(c.out[1][0][0][0] == 0 && c.out[1][0][0][1] == 0);
  CHECK(isinf(c.lse[1][0][0]) && c.lse[1][0][0] < 0);
  free(workspace);

  /* One key fewer: the old plan is stale, the remade one is not. */
  c.seqlens[0] = 1;
  workspace = workspace_for(plan, &c.args);
  CHECK_REFUSED(flash_mla_decode(plan, &c.args), FLASH_MLA_PLAN_MISMATCH, "seqlens");
  free(workspace);
  CHECK_OK(flash_mla_plan_remake(plan, &c.spec));
  workspace = workspace_for(plan, &c.args);
  CHECK_OK(flash_mla_decode(plan, &c.args));
  CHECK_NEAR(c.out[0][0][0][0], 1, 1e-6);
  CHECK_NEAR(c.out[0][0][0][1], 2, 1e-6);
  CHECK_NEAR(c.lse[0][0][0], 0, 1e-6);
  free(workspace);
  flash_mla_plan_destroy(plan);
}

static void decode_on_every_backend(void) {
  size_t usable = 0;
  for (size_t i = 0; i < flash_mla_backend_count(); ++i) {
    flash_mla_backend_info info;
    CHECK_OK(flash_mla_backend_at(i, &info));
    CHECK((info.usable != 0) == (info.reason[0] == '\0'));
    if (!info.usable) continue;
    ++usable;
    decode_by_hand(info.name);
  }
  CHECK(usable > 0);
}

static void reference_by_hand(void) {
  two_keys c;
  double out[4], lse[2];
  two_keys_init(&c);
  memset(&c.args.out, 0, sizeof c.args.out);
  CHECK_OK(flash_mla_reference_decode(&c.args, &c.spec.mask, 2, out, 4, lse, 2));
  CHECK_NEAR(out[0], 4, 1e-7);
  CHECK_NEAR(out[1], -1, 1e-7);
  CHECK_NEAR(lse[0], ln4, 1e-7);
  CHECK(out[2] == 0 && out[3] == 0 && isinf(lse[1]) && lse[1] < 0);

  /* A window of one key leaves the last, whose weight is then 1. */
  c.spec.mask.window = 1;
  CHECK_OK(flash_mla_reference_decode(&c.args, &c.spec.mask, 2, out, 4, NULL, 0));
  CHECK_NEAR(out[0], 5, 1e-7);
  CHECK_NEAR(out[1], -2, 1e-7);
}

static void append_by_hand(void) {
  const int64_t rows_shape[] = {3, 1, 1}, slots_shape[] = {3}, cache_shape[] = {2, 2, 1, 2};
  const float latent[3] = {1, 2, 3}, rope[3] = {10, 20, 30};
  const int64_t slots[3] = {3, -1, 0};
  const float expected[8] = {3, 30, 0, 0, 0, 0, 1, 10};
  float cache[8] = {0};
  flash_mla_append_args args;
  memset(&args, 0, sizeof args);
  args.rows = flash_mla_const_dense(latent, FLASH_MLA_FLOAT32, 3, rows_shape);
  args.rope = flash_mla_const_dense(rope, FLASH_MLA_FLOAT32, 3, rows_shape);
  args.slot_mapping = flash_mla_const_dense(slots, FLASH_MLA_INT64, 1, slots_shape);
  args.k_cache = flash_mla_dense(cache, FLASH_MLA_FLOAT32, 4, cache_shape);
  CHECK_OK(flash_mla_append(&args));
  CHECK(memcmp(cache, expected, sizeof cache) == 0);
}

static void merge_by_hand(void) {
  const int64_t out_shape[] = {1, 1, 1, 2}, lse_shape[] = {1, 1, 1};
  const float first[2] = {1, 2}, second[2] = {5, -2}, nothing[2] = {NAN, NAN};
  const float first_lse = 0, second_lse = (float)ln3, nothing_lse = -INFINITY;
  float out[2], lse;
  flash_mla_partial_result parts[3];
  flash_mla_tensor out_view = flash_mla_dense(out, FLASH_MLA_FLOAT32, 4, out_shape);
  flash_mla_tensor lse_view = flash_mla_dense(&lse, FLASH_MLA_FLOAT32, 3, lse_shape);
  parts[0].out = flash_mla_const_dense(first, FLASH_MLA_FLOAT32, 4, out_shape);
  parts[0].lse = flash_mla_const_dense(&first_lse, FLASH_MLA_FLOAT32, 3, lse_shape);
  parts[1].out = flash_mla_const_dense(nothing, FLASH_MLA_FLOAT32, 4, out_shape);
  parts[1].lse = flash_mla_const_dense(&nothing_lse, FLASH_MLA_FLOAT32, 3, lse_shape);
  parts[2].out = flash_mla_const_dense(second, FLASH_MLA_FLOAT32, 4, out_shape);
  parts[2].lse = flash_mla_const_dense(&second_lse, FLASH_MLA_FLOAT32, 3, lse_shape);
  CHECK_OK(flash_mla_merge(parts, 3, &out_view, &lse_view));
  CHECK_NEAR(out[0], 4, 1e-6);
  CHECK_NEAR(out[1], -1, 1e-6);
  CHECK_NEAR(lse, ln4, 1e-6);
}

int main(void) {
  decode_on_every_backend();
  reference_by_hand();
  append_by_hand();
  merge_by_hand();
  return check_failures();
}
