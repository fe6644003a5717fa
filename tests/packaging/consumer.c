/* A user's program in C, linked by the C compiler alone: one query, one key. */
#include <flash_mla/flash_mla.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  static const int64_t cube[4] = {1, 1, 1, 2}, ones[3] = {1, 1, 1};
  const float q[2] = {2, 3}, key[2] = {5, 7};
  const int32_t page_table[1] = {0}, seqlens[1] = {1};
  float out[2] = {0, 0}, lse = 0;
  double scale = 1;
  char* memory;
  flash_mla_plan* plan;
  flash_mla_plan_spec spec;
  flash_mla_decode_args args = {0};

  flash_mla_plan_spec_init(&spec);
  spec.dtype = spec.out_dtype = FLASH_MLA_FLOAT32;
  spec.batch = spec.h_q = spec.page_size = 1;
  spec.d = spec.d_v = 2;
  spec.seqlens = seqlens;
  if (flash_mla_plan_create(&spec, &plan) != FLASH_MLA_OK) {
    fprintf(stderr, "%s\n", flash_mla_last_error());
    return 1;
  }
  args.q = flash_mla_const_dense(q, FLASH_MLA_FLOAT32, 4, cube);
  args.k_cache = flash_mla_const_dense(key, FLASH_MLA_FLOAT32, 4, cube);
  args.page_table = flash_mla_const_dense(page_table, FLASH_MLA_INT32, 2, ones);
  args.seqlens = flash_mla_const_dense(seqlens, FLASH_MLA_INT32, 1, ones);
  args.out = flash_mla_dense(out, FLASH_MLA_FLOAT32, 4, cube);
  args.lse = flash_mla_dense(&lse, FLASH_MLA_FLOAT32, 3, ones);
  args.scale = &scale;
  args.workspace_size = flash_mla_plan_workspace_size(plan);
  memory = (char*)malloc(args.workspace_size + FLASH_MLA_WORKSPACE_ALIGNMENT);
  if (memory == NULL) return 1;
  args.workspace = memory + (FLASH_MLA_WORKSPACE_ALIGNMENT - (uintptr_t)memory % FLASH_MLA_WORKSPACE_ALIGNMENT);
  if (flash_mla_decode(plan, &args) != FLASH_MLA_OK) {
    fprintf(stderr, "%s\n", flash_mla_last_error());
    return 1;
  }
  free(memory);
  flash_mla_plan_destroy(plan);
  printf("flash_mla %s: out = [%g, %g], lse = %g\n", flash_mla_version(), out[0], out[1], lse);
  return out[0] == 5 && out[1] == 7 && fabs(lse - 31) < 1e-4 ? 0 : 1;
}
