/* A caller's own thread pool: the result has the same bits as one thread's. ThreadSanitizer watches this one. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */

#include <pthread.h>
#include <stdlib.h>

#include "check.h"

enum {
  kBatch = 3,
  kHeads = 20,
  kWidth = 72,
  kValueWidth = 64,
  kPageSize = 16,
  kPages = 80,
  kMaxPages = 64,
  kThreads = 4
};

static float q[kBatch][1][kHeads][kWidth];
static float cache[kPages][kPageSize][1][kWidth];
static int32_t page_table[kBatch][kMaxPages];
static const int32_t seqlens[kBatch] = {1000, 17, 0};

static void fill(void) {
  unsigned state = 1;
  float* arrays[] = {&q[0][0][0][0], &cache[0][0][0][0]};
  const size_t counts[] = {sizeof q / sizeof(float), sizeof cache / sizeof(float)};
  for (int a = 0; a < 2; ++a) {
    for (size_t i = 0; i < counts[a]; ++i) {
      state = state * 1664525u + 1013904223u;
      arrays[a][i] = (float)(state >> 8) / (float)(1 << 24) - 0.5f;
    }
  }
  for (int i = 0; i < kMaxPages; ++i) page_table[0][i] = kPages - 1 - i;
  page_table[1][0] = 3;
  page_table[1][1] = 1;
}

typedef struct {
  void (*task)(void* context, int index);
  void* context;
  int first, count;
} share;

static void* run_share(void* argument) {
  const share* mine = (const share*)argument;
  for (int i = mine->first; i < mine->count; i += kThreads) mine->task(mine->context, i);
  return NULL;
}

/* Counts in *pool how many tasks it was given. */
static void on_threads(void* pool, int count, void (*task)(void*, int), void* context) {
  pthread_t threads[kThreads];
  share shares[kThreads];
  *(int*)pool += count;
  for (int t = 0; t < kThreads; ++t) {
    shares[t].task = task;
    shares[t].context = context;
    shares[t].first = t;
    shares[t].count = count;
    if (pthread_create(&threads[t], NULL, run_share, &shares[t]) != 0) abort();
  }
  for (int t = 0; t < kThreads; ++t) pthread_join(threads[t], NULL);
}

static void backwards(void* pool, int count, void (*task)(void*, int), void* context) {
  *(int*)pool += count;
  for (int i = count - 1; i >= 0; --i) task(context, i);
}

typedef struct {
  float out[kBatch][1][kHeads][kValueWidth];
  float lse[kBatch][kHeads][1];
} result;

static flash_mla_status decode(const flash_mla_plan* plan, const flash_mla_executor* executor, result* r) {
  const int64_t q_shape[] = {kBatch, 1, kHeads, kWidth}, cache_shape[] = {kPages, kPageSize, 1, kWidth};
  const int64_t table_shape[] = {kBatch, kMaxPages};
  const int64_t out_shape[] = {kBatch, 1, kHeads, kValueWidth}, lse_shape[] = {kBatch, kHeads, 1};
  flash_mla_decode_args args;
  void* workspace = NULL;
  flash_mla_status status;
  memset(&args, 0, sizeof args);
  args.q = flash_mla_const_dense(q, FLASH_MLA_FLOAT32, 4, q_shape);
  args.k_cache = flash_mla_const_dense(cache, FLASH_MLA_FLOAT32, 4, cache_shape);
  args.page_table = flash_mla_const_dense(page_table, FLASH_MLA_INT32, 2, table_shape);
  args.seqlens = flash_mla_const_dense(seqlens, FLASH_MLA_INT32, 1, table_shape);
  args.out = flash_mla_dense(r->out, FLASH_MLA_FLOAT32, 4, out_shape);
  args.lse = flash_mla_dense(r->lse, FLASH_MLA_FLOAT32, 3, lse_shape);
  args.workspace_size = flash_mla_plan_workspace_size(plan);
  if (posix_memalign(&workspace, FLASH_MLA_WORKSPACE_ALIGNMENT, args.workspace_size + 1) != 0) abort();
  args.workspace = workspace;
  args.executor = executor;
  status = flash_mla_decode(plan, &args);
  free(workspace);
  return status;
}

/* Each thread has its own message. */
static void* fails_elsewhere(void* unused) {
  flash_mla_backend_info info;
  (void)unused;
  CHECK(flash_mla_last_error()[0] == '\0');
  CHECK_REFUSED(flash_mla_find_backend("elsewhere", &info), FLASH_MLA_NOT_FOUND, "elsewhere");
  return NULL;
}

int main(void) {
  static result serial, threaded, reversed;
  int serial_tasks = 0, threaded_tasks = 0;
  const flash_mla_executor pool = {&threaded_tasks, on_threads}, reverse = {&serial_tasks, backwards};
  const flash_mla_executor nothing = {NULL, NULL};
  flash_mla_backend_info info;
  flash_mla_plan_spec spec;
  flash_mla_plan* plan;
  pthread_t other;
  fill();
  flash_mla_plan_spec_init(&spec);
  spec.dtype = spec.out_dtype = FLASH_MLA_FLOAT32;
  spec.batch = kBatch;
  spec.h_q = kHeads;
  spec.d = kWidth;
  spec.d_v = kValueWidth;
  spec.page_size = kPageSize;
  spec.seqlens = seqlens;
  spec.num_workers = kThreads;
  CHECK_OK(flash_mla_plan_create(&spec, &plan));
  if (plan == NULL) return check_failures();
  CHECK(flash_mla_plan_num_split_units(plan) > 1);

  CHECK_OK(decode(plan, NULL, &serial));
  CHECK_OK(decode(plan, &pool, &threaded));
  CHECK_OK(decode(plan, &reverse, &reversed));
  CHECK(threaded_tasks > 1);
  CHECK_EQUAL(serial_tasks, threaded_tasks);
  CHECK(memcmp(&serial, &threaded, sizeof serial) == 0);
  CHECK(memcmp(&serial, &reversed, sizeof serial) == 0);
  CHECK(serial.out[0][0][0][0] != 0 && serial.out[2][0][0][0] == 0);

  CHECK_REFUSED(flash_mla_find_backend("here", &info), FLASH_MLA_NOT_FOUND, "here");
  if (pthread_create(&other, NULL, fails_elsewhere, NULL) != 0) abort();
  pthread_join(other, NULL);
  CHECK(strstr(flash_mla_last_error(), "elsewhere") == NULL);
  CHECK_REFUSED(decode(plan, &nothing, &threaded), FLASH_MLA_INVALID_ARGUMENT, "executor");
  flash_mla_plan_destroy(plan);
  return check_failures();
}
