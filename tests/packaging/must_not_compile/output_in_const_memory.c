/* expected: discards .*const|discards qualifiers */
#include <flash_mla/flash_mla.h>

void use(flash_mla_decode_args* args, const float* constant, float* writable, const int64_t* shape);
void use(flash_mla_decode_args* args, const float* constant, float* writable, const int64_t* shape) {
  args->q = flash_mla_const_dense(constant, FLASH_MLA_FLOAT32, 4, shape);
  args->out = flash_mla_dense(writable, FLASH_MLA_FLOAT32, 4, shape);
  args->out = flash_mla_dense(constant, FLASH_MLA_FLOAT32, 4, shape); /* wrong */
}
