/* Null handles, null arguments and values that the C types allow but the contract does not. */
#include "check.h"

static void starts_without_an_error(void) {
  CHECK(flash_mla_last_error()[0] == '\0');
  CHECK(strchr(flash_mla_version(), '.') != NULL);
  CHECK(flash_mla_default_num_workers() >= 1);
}

static void backends(void) {
  flash_mla_backend_info info;
  memset(&info, 0, sizeof info);
  CHECK_REFUSED(flash_mla_backend_at(flash_mla_backend_count(), &info), FLASH_MLA_NOT_FOUND, "index = ");
  CHECK_REFUSED(flash_mla_backend_at(0, NULL), FLASH_MLA_INVALID_ARGUMENT, "info is null");
  CHECK_REFUSED(flash_mla_find_backend("abacus", &info), FLASH_MLA_NOT_FOUND, "abacus");
  CHECK_REFUSED(flash_mla_find_backend("scalar", NULL), FLASH_MLA_INVALID_ARGUMENT, "info is null");
  CHECK(info.name == NULL);
  CHECK_OK(flash_mla_find_backend("scalar", &info));
  CHECK(info.name != NULL && strcmp(info.name, "scalar") == 0);
  CHECK_OK(flash_mla_find_backend(NULL, &info));
}

static void null_handles(void) {
  flash_mla_plan* plan = NULL;
  flash_mla_kv_cache* cache = NULL;
  flash_mla_plan_spec spec;
  flash_mla_decode_args args;
  flash_mla_mask mask = {0, 0, 0};
  flash_mla_tensor view;
  int64_t slot = 0;
  double out = 0;
  memset(&args, 0, sizeof args);
  memset(&view, 0, sizeof view);
  flash_mla_plan_spec_init(&spec);
  flash_mla_plan_spec_init(NULL);
  flash_mla_plan_destroy(NULL);
  flash_mla_kv_cache_destroy(NULL);

  CHECK_REFUSED(flash_mla_plan_create(NULL, &plan), FLASH_MLA_INVALID_ARGUMENT, "spec is null");
  CHECK_REFUSED(flash_mla_plan_create(&spec, NULL), FLASH_MLA_INVALID_ARGUMENT, "plan is null");
  CHECK_REFUSED(flash_mla_plan_remake(NULL, &spec), FLASH_MLA_INVALID_ARGUMENT, "plan is null");
  CHECK_REFUSED(flash_mla_decode(NULL, &args), FLASH_MLA_INVALID_ARGUMENT, "plan is null");
  CHECK_REFUSED(flash_mla_reference_decode(NULL, &mask, 1, &out, 1, NULL, 0), FLASH_MLA_INVALID_ARGUMENT,
                "args is null");
  CHECK_REFUSED(flash_mla_reference_decode(&args, NULL, 1, &out, 1, NULL, 0), FLASH_MLA_INVALID_ARGUMENT,
                "mask is null");
  CHECK_REFUSED(flash_mla_reference_decode(&args, &mask, 1, NULL, 1, NULL, 0), FLASH_MLA_INVALID_ARGUMENT,
                "out is null");
  CHECK_REFUSED(flash_mla_reference_decode(&args, &mask, 1, &out, 1, NULL, 1), FLASH_MLA_INVALID_ARGUMENT,
                "lse is null");
  CHECK_REFUSED(flash_mla_append(NULL), FLASH_MLA_INVALID_ARGUMENT, "args is null");
  CHECK_REFUSED(flash_mla_merge(NULL, 1, &view, &view), FLASH_MLA_INVALID_ARGUMENT, "parts is null");
  CHECK_REFUSED(flash_mla_merge(NULL, 0, NULL, &view), FLASH_MLA_INVALID_ARGUMENT, "out is null");
  CHECK_REFUSED(flash_mla_merge(NULL, 0, &view, NULL), FLASH_MLA_INVALID_ARGUMENT, "lse is null");
  CHECK_REFUSED(flash_mla_kv_cache_create(NULL, &cache), FLASH_MLA_INVALID_ARGUMENT, "geometry is null");
  CHECK_REFUSED(flash_mla_kv_cache_add_sequence(NULL, &slot), FLASH_MLA_INVALID_ARGUMENT, "cache is null");
  CHECK_REFUSED(flash_mla_kv_cache_append_tokens(NULL, 0, 1, &slot), FLASH_MLA_INVALID_ARGUMENT, "cache is null");
  CHECK_REFUSED(flash_mla_kv_cache_remove_sequence(NULL, 0), FLASH_MLA_INVALID_ARGUMENT, "cache is null");

  CHECK_EQUAL(flash_mla_plan_workspace_size(NULL), 0);
  CHECK_EQUAL(flash_mla_plan_num_workers(NULL), 0);
  CHECK_EQUAL(flash_mla_plan_num_units(NULL), 0);
  CHECK_EQUAL(flash_mla_plan_num_split_units(NULL), 0);
  CHECK(flash_mla_plan_backend(NULL)[0] == '\0');
  CHECK_EQUAL(flash_mla_kv_cache_pages_needed(NULL, 0, 1), -1);
  CHECK_EQUAL(flash_mla_kv_cache_num_tokens(NULL), 0);
  CHECK_EQUAL(flash_mla_kv_cache_page_table(NULL).rank, 0);
}

static void values_outside_the_contract(void) {
  const int32_t seqlens[1] = {1};
  flash_mla_plan* plan = (flash_mla_plan*)&plan;
  flash_mla_plan_spec good, spec;
  flash_mla_plan_spec_init(&good);
  good.batch = 1;
  good.h_q = 4;
  good.seqlens = seqlens;

#define CHECK_SPEC_REFUSED(field, value, status, text)                \
  do {                                                                \
    spec = good;                                                      \
    spec.field = (value);                                             \
    CHECK_REFUSED(flash_mla_plan_create(&spec, &plan), status, text); \
    CHECK(plan == NULL);                                              \
  } while (0)
  CHECK_SPEC_REFUSED(dtype, 99, FLASH_MLA_INVALID_ARGUMENT, "dtype");
  CHECK_SPEC_REFUSED(dtype, -1, FLASH_MLA_INVALID_ARGUMENT, "dtype");
  CHECK_SPEC_REFUSED(out_dtype, FLASH_MLA_INT64, FLASH_MLA_INVALID_ARGUMENT, "out_dtype");
  CHECK_SPEC_REFUSED(mode, 7, FLASH_MLA_INVALID_ARGUMENT, "mode");
  CHECK_SPEC_REFUSED(batch, -1, FLASH_MLA_INVALID_ARGUMENT, "-1");
  CHECK_SPEC_REFUSED(h_kv, 3, FLASH_MLA_INVALID_ARGUMENT, "h_q");
  CHECK_SPEC_REFUSED(num_workers, 1025, FLASH_MLA_INVALID_ARGUMENT, "num_workers");
  CHECK_SPEC_REFUSED(seqlens, NULL, FLASH_MLA_INVALID_ARGUMENT, "seqlens");
  CHECK_SPEC_REFUSED(backend, "abacus", FLASH_MLA_NOT_FOUND, "abacus");

  CHECK_OK(flash_mla_plan_create(&good, &plan));
  spec = good;
  spec.mask.window = -1;
  CHECK_REFUSED(flash_mla_plan_remake(plan, &spec), FLASH_MLA_INVALID_ARGUMENT, "window");
  CHECK_REFUSED(flash_mla_plan_remake(plan, NULL), FLASH_MLA_INVALID_ARGUMENT, "spec is null");
  CHECK_REFUSED(flash_mla_decode(plan, NULL), FLASH_MLA_INVALID_ARGUMENT, "args is null");
  flash_mla_plan_destroy(plan);
}

static void views(void) {
  const int64_t shape[] = {2, 3, 4, 5, 6}, absurd[] = {INT64_MAX, INT64_MAX, 4};
  float data[1] = {0};
  flash_mla_tensor view = flash_mla_dense(data, FLASH_MLA_FLOAT32, 4, shape);
  CHECK(view.data == data && view.rank == 4 && view.shape[3] == 5);
  CHECK(view.strides[0] == 60 && view.strides[1] == 20 && view.strides[2] == 5 && view.strides[3] == 1);
  CHECK_EQUAL(flash_mla_dense(data, FLASH_MLA_FLOAT32, 5, shape).rank, -1);
  CHECK_EQUAL(flash_mla_dense(data, FLASH_MLA_FLOAT32, 0, shape).rank, -1);
  CHECK_EQUAL(flash_mla_const_dense(data, FLASH_MLA_FLOAT32, 2, NULL).rank, -1);
  CHECK_EQUAL(flash_mla_const_dense(data, FLASH_MLA_FLOAT32, 3, absurd).shape[0], INT64_MAX);
}

static void the_message_outlives_success(void) {
  flash_mla_backend_info info;
  CHECK_REFUSED(flash_mla_find_backend("abacus", &info), FLASH_MLA_NOT_FOUND, "abacus");
  CHECK_OK(flash_mla_find_backend("scalar", &info));
  CHECK(strstr(flash_mla_last_error(), "abacus") != NULL);
}

static void a_long_message_is_cut(void) {
  flash_mla_backend_info info;
  char name[4096];
  memset(name, 'x', sizeof name);
  name[sizeof name - 1] = '\0';
  CHECK_REFUSED(flash_mla_find_backend(name, &info), FLASH_MLA_NOT_FOUND, "xxxx");
  CHECK(strlen(flash_mla_last_error()) == 1023);
}

int main(void) {
  starts_without_an_error();
  backends();
  null_handles();
  values_outside_the_contract();
  views();
  the_message_outlives_success();
  a_long_message_is_cut();
  return check_failures();
}
