/* The C interface: C99, no C++ in sight. Same contract as the C++ headers beside it.
 *
 * Symbols: b sequences, s_q query tokens a sequence, h_q query heads, h_kv KV heads, d key width, d_v value width,
 * page_size tokens a page. Strides are counted in elements.
 *
 * Every call that can fail returns a flash_mla_status; flash_mla_last_error() then says why. When a call is refused
 * nothing is written. No call prints, exits or throws. */
#ifndef FLASH_MLA_FLASH_MLA_H
#define FLASH_MLA_FLASH_MLA_H

#include <stddef.h>
#include <stdint.h>

#include "flash_mla/export.h"
#include "flash_mla/version.h"

#if defined(__GNUC__)
#define FLASH_MLA_NODISCARD __attribute__((warn_unused_result))
#else
#define FLASH_MLA_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------------- status */

typedef enum flash_mla_status {
  FLASH_MLA_OK = 0,
  FLASH_MLA_INVALID_ARGUMENT =
      1,                       /* an argument breaks the contract; the message names it, its value, what is allowed */
  FLASH_MLA_PLAN_MISMATCH = 2, /* the plan was made for other shapes or other lengths than this call's */
  FLASH_MLA_UNSUPPORTED = 3,   /* legal, but not on this machine or in this build */
  FLASH_MLA_OUT_OF_PAGES = 4,  /* the page pool cannot serve the request */
  FLASH_MLA_NOT_FOUND = 5,     /* unknown name or id */
  FLASH_MLA_IO_ERROR = 6,      /* a file could not be read or written */
  FLASH_MLA_OUT_OF_MEMORY = 7, /* the host's memory is exhausted */
  FLASH_MLA_INTERNAL_ERROR = 8, /* a defect of this library */
  FLASH_MLA_CORRUPT = 9         /* a KV cache whose books are wrong; it serves no more */
} flash_mla_status;

/* Why the last call that failed on this thread did; "" if none has. Valid until the next failure on this thread. At
 * most 1023 characters. */
FLASH_MLA_API const char* flash_mla_last_error(void);

/* "major.minor.patch" of the library that is linked at run time. */
FLASH_MLA_API const char* flash_mla_version(void);

/* ------------------------------------------------------------------------------------------------------- tensors */

#define FLASH_MLA_MAX_RANK 4

/* Element types, as the `dtype` fields hold them. */
enum { FLASH_MLA_FLOAT32 = 0, FLASH_MLA_BFLOAT16 = 1, FLASH_MLA_FLOAT16 = 2, FLASH_MLA_INT32 = 3, FLASH_MLA_INT64 = 4 };

/* A view of memory that the library writes: data[i0 * strides[0] + i1 * strides[1] + ...]. All zero: absent. */
typedef struct flash_mla_tensor {
  void* data;
  int32_t dtype;
  int32_t rank;
  int64_t shape[FLASH_MLA_MAX_RANK];
  int64_t strides[FLASH_MLA_MAX_RANK];
} flash_mla_tensor;

/* The same of memory that the library only reads. */
typedef struct flash_mla_const_tensor {
  const void* data;
  int32_t dtype;
  int32_t rank;
  int64_t shape[FLASH_MLA_MAX_RANK];
  int64_t strides[FLASH_MLA_MAX_RANK];
} flash_mla_const_tensor;

/* Dense row-major views; `shape` holds `rank` extents (1 to FLASH_MLA_MAX_RANK; any other rank makes a view that every
 * call refuses). */
FLASH_MLA_API flash_mla_tensor flash_mla_dense(void* data, int32_t dtype, int32_t rank, const int64_t* shape);
FLASH_MLA_API flash_mla_const_tensor flash_mla_const_dense(const void* data, int32_t dtype, int32_t rank,
                                                           const int64_t* shape);

/* ------------------------------------------------------------------------------------------------------- backends */

typedef struct flash_mla_backend_info {
  const char* name;        /* "avx512_bf16", "avx512", "avx2", "neon_bf16", "neon", "scalar" */
  const char* description; /* the instructions it needs */
  int built;               /* 1: compiled into this library */
  int usable;              /* 1: built, and this machine can run it */
  const char* reason;      /* why it is not usable; "" if it is */
} flash_mla_backend_info;

/* The backends that this project knows, best first. The strings live as long as the process.
 * Errors: NOT_FOUND (index past the last). */
FLASH_MLA_API size_t flash_mla_backend_count(void);
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_backend_at(size_t index, flash_mla_backend_info* info);

/* The backend that a plan would take for `name`; null or "": $FLASH_MLA_BACKEND if set, else the best usable one.
 * Errors: NOT_FOUND (unknown name), UNSUPPORTED (not usable here). */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_find_backend(const char* name,
                                                                          flash_mla_backend_info* info);

/* ------------------------------------------------------------------------------------------------------- execution */

/* A caller's parallel-for: calls task(context, i) once for every i in [0, count), in any order and on any threads, and
 * returns when all have finished. Results never depend on who runs what. */
typedef struct flash_mla_executor {
  void* pool;
  void (*parallel_for)(void* pool, int count, void (*task)(void* context, int index), void* context);
} flash_mla_executor;

/* The threads that a plan is balanced for unless told otherwise: OpenMP's maximum, but no more than the CPU affinity
 * mask and the cgroup quota allow. */
FLASH_MLA_API int flash_mla_default_num_workers(void);

/* ------------------------------------------------------------------------------------------------------- plans */

/* Query j of a sequence with s_q queries and s_k cached tokens stands at position p = s_k - s_q + j. */
typedef struct flash_mla_mask {
  int32_t causal; /* 1: sees keys up to p; 0: all s_k */
  int64_t window; /* 0: none; w > 0: only the last w keys up to and including p ... */
  int64_t sinks;  /* ... plus the first `sinks` keys of the sequence (as far as causality shows them) */
} flash_mla_mask;

enum {
  FLASH_MLA_PLAN_STANDARD = 0,       /* best balance for this batch */
  FLASH_MLA_PLAN_BATCH_INVARIANT = 1 /* a sequence's bits do not depend on the rest of the batch */
};

/* Start from flash_mla_plan_spec_init(), then set batch, h_q, seqlens and whatever else differs. */
typedef struct flash_mla_plan_spec {
  int32_t dtype;               /* of q, k cache and v cache: BFLOAT16 (initially), FLOAT16 or FLOAT32 */
  int32_t out_dtype;           /* dtype (BFLOAT16 initially), or FLOAT32 */
  int64_t batch;               /* b */
  int64_t s_q;                 /* initially 1; ignored for ragged q */
  int64_t h_q;                 /* a multiple of h_kv */
  int64_t h_kv;                /* initially 1 */
  int64_t d;                   /* 1 to 1024, initially 576 */
  int64_t d_v;                 /* 1 to 1024, initially 512; at most d unless separate_v */
  int64_t page_size;           /* initially 64 */
  int32_t separate_v;          /* 0: V is the first d_v columns of K; 1: V has its own cache */
  int32_t mode;                /* a FLASH_MLA_PLAN_ value */
  const int32_t* seqlens;      /* [b] cached tokens of each sequence, its new ones included; 0 is legal */
  const int32_t* cu_seqlens_q; /* null, or [b + 1] for ragged q: sequence i owns query rows cu[i] to cu[i + 1] */
  flash_mla_mask mask;
  int32_t num_workers; /* 1 to 1024; 0: flash_mla_default_num_workers() */
  const char* backend; /* as flash_mla_find_backend() takes it */
} flash_mla_plan_spec;

/* The split of one batch for one backend. Any number of decode calls may use it at the same time. */
typedef struct flash_mla_plan flash_mla_plan;

FLASH_MLA_API void flash_mla_plan_spec_init(flash_mla_plan_spec* spec);

/* The plan copies what it needs of the spec. Destroy it with flash_mla_plan_destroy(), which takes null too.
 * Errors: INVALID_ARGUMENT, UNSUPPORTED or NOT_FOUND (backend). *plan is null then. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_plan_create(const flash_mla_plan_spec* spec,
                                                                         flash_mla_plan** plan);
FLASH_MLA_API void flash_mla_plan_destroy(flash_mla_plan* plan);

/* Plans anew in place, reusing the plan's memory: the way to plan each step. On error the plan is unchanged. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_plan_remake(flash_mla_plan* plan,
                                                                         const flash_mla_plan_spec* spec);

/* Bytes of workspace that a decode call with this plan needs, aligned to FLASH_MLA_WORKSPACE_ALIGNMENT bytes; 0 is
 * possible. These and the next calls take a null plan for one without work: 0, or "". */
#define FLASH_MLA_WORKSPACE_ALIGNMENT 64
FLASH_MLA_API size_t flash_mla_plan_workspace_size(const flash_mla_plan* plan);
FLASH_MLA_API const char* flash_mla_plan_backend(const flash_mla_plan* plan);
FLASH_MLA_API int flash_mla_plan_num_workers(const flash_mla_plan* plan);
/* Independent pieces of work, and how many of those are parts of a split sequence that need merging. */
FLASH_MLA_API int64_t flash_mla_plan_num_units(const flash_mla_plan* plan);
FLASH_MLA_API int64_t flash_mla_plan_num_split_units(const flash_mla_plan* plan);

/* ------------------------------------------------------------------------------------------------------- attention */

/* Zero-initialise, then set what is there. Last strides are 1, the others free. */
typedef struct flash_mla_decode_args {
  flash_mla_const_tensor q;            /* [b, s_q, h_q, d], or ragged [total_q, h_q, d] with cu_seqlens_q */
  flash_mla_const_tensor k_cache;      /* [num_pages, page_size, h_kv, d], dtype of q */
  flash_mla_const_tensor v_cache;      /* absent, or [num_pages, page_size, h_kv, d_v] */
  flash_mla_const_tensor page_table;   /* [b, max_pages] int32: page of tokens [i * page_size, (i + 1) * page_size) */
  flash_mla_const_tensor seqlens;      /* [b] int32 */
  flash_mla_const_tensor cu_seqlens_q; /* absent, or [b + 1] int32 */
  flash_mla_tensor out;                /* [b, s_q, h_q, d_v] or ragged [total_q, h_q, d_v]; dtype of q, or float32 */
  flash_mla_tensor lse;                /* [b, h_q, s_q] or ragged [h_q, total_q] float32; absent if not wanted */
  const double* scale;                 /* softmax scale, finite; null: d^-0.5 */
  void* workspace;                     /* flash_mla_plan_workspace_size() bytes; not shared by calls at the same time */
  size_t workspace_size;
  const flash_mla_executor* executor; /* null: OpenMP with the plan's number of workers */
} flash_mla_decode_args;

/* out = softmax(scale * q k^T) v over the visible keys of each row, lse = log sum exp(scale * q k) (natural). A row
 * that sees no key gets out = 0 and lse = -inf. Does not allocate on success. Errors: INVALID_ARGUMENT, PLAN_MISMATCH.
 */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_decode(const flash_mla_plan* plan,
                                                                    const flash_mla_decode_args* args);

/* The specification, in plain float64 and slow. args->out and args->lse are not written and may be absent.
 * out: row-major, shape of args->out, out_count elements; lse: row-major [b, h_q, s_q] or ragged [h_q, total_q],
 * lse_count elements, or null and 0. Errors: INVALID_ARGUMENT (counts included), OUT_OF_MEMORY. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_reference_decode(const flash_mla_decode_args* args,
                                                                              const flash_mla_mask* mask, int64_t d_v,
                                                                              double* out, size_t out_count,
                                                                              double* lse, size_t lse_count);

/* Zero-initialise, then set what is there. */
typedef struct flash_mla_append_args {
  flash_mla_const_tensor rows;   /* [tokens, h_kv, d]; or, with rope, its first columns: [tokens, h_kv, d - d_rope] */
  flash_mla_const_tensor rope;   /* absent, or [tokens, h_kv, d_rope]: the last columns of a row */
  flash_mla_const_tensor v_rows; /* [tokens, h_kv, d_v] where v_cache is present, else absent */
  flash_mla_const_tensor slot_mapping; /* [tokens] int64: page * page_size + offset; -1 skips the token */
  flash_mla_tensor k_cache;            /* [num_pages, page_size, h_kv, d], dtype of the rows */
  flash_mla_tensor v_cache;            /* absent, or [num_pages, page_size, h_kv, d_v] */
} flash_mla_append_args;

/* Copies each token's rows to its slot. Errors: INVALID_ARGUMENT (a slot out of range or named twice included). */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_append(const flash_mla_append_args* args);

typedef struct flash_mla_partial_result {
  flash_mla_const_tensor out; /* [b, s_q, h_q, d_v] or ragged [total_q, h_q, d_v] */
  flash_mla_const_tensor lse; /* [b, h_q, s_q] or ragged [h_q, total_q] float32, natural log */
} flash_mla_partial_result;

/* out = sum_i exp(lse_i - lse) out_i with lse = log sum_i exp(lse_i): the attention over the union of the parts' keys.
 * A part with lse = -inf adds nothing. `out` and `lse` may be one of the parts. Errors: INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_merge(const flash_mla_partial_result* parts,
                                                                   size_t num_parts, const flash_mla_tensor* out,
                                                                   const flash_mla_tensor* lse);

/* ------------------------------------------------------------------------------------------------------- KV cache */

typedef struct flash_mla_kv_cache_geometry {
  int64_t num_pages;     /* pages in the pool */
  int64_t page_size;     /* tokens a page */
  int64_t max_sequences; /* rows of the page table */
  int64_t max_tokens;    /* longest sequence: sets the columns of the page table */
} flash_mla_kv_cache_geometry;

/* Which pages hold which sequence's tokens. Holds no keys itself: the caller owns the arrays. A sequence is a row of
 * the page table. One writer at a time. */
typedef struct flash_mla_kv_cache flash_mla_kv_cache;

/* Destroy it with flash_mla_kv_cache_destroy(), which takes null too. Errors: INVALID_ARGUMENT. *cache is null then. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status
flash_mla_kv_cache_create(const flash_mla_kv_cache_geometry* geometry, flash_mla_kv_cache** cache);
FLASH_MLA_API void flash_mla_kv_cache_destroy(flash_mla_kv_cache* cache);

/* A new, empty sequence: the index of its row. Errors: OUT_OF_PAGES when all rows are in use. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_add_sequence(flash_mla_kv_cache* cache,
                                                                                   int64_t* sequence);
/* Grows a sequence by num_tokens tokens and writes where each goes: slots[num_tokens], as slot_mapping takes them.
 * Errors: NOT_FOUND, INVALID_ARGUMENT (longer than max_tokens), OUT_OF_PAGES; nothing changes then. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_append_tokens(flash_mla_kv_cache* cache,
                                                                                    int64_t sequence, size_t num_tokens,
                                                                                    int64_t* slots);
/* Frees the sequence and its pages. Errors: NOT_FOUND. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_remove_sequence(flash_mla_kv_cache* cache,
                                                                                      int64_t sequence);

/* Pages that num_tokens more tokens of this sequence need; -1 for an unknown sequence. These calls take a null cache
 * for one that holds nothing: -1, 0, or an absent view. */
FLASH_MLA_API int64_t flash_mla_kv_cache_pages_needed(const flash_mla_kv_cache* cache, int64_t sequence,
                                                      int64_t num_tokens);
FLASH_MLA_API int64_t flash_mla_kv_cache_num_free_pages(const flash_mla_kv_cache* cache);
FLASH_MLA_API int64_t flash_mla_kv_cache_num_used_pages(const flash_mla_kv_cache* cache);
FLASH_MLA_API int64_t flash_mla_kv_cache_num_tokens(const flash_mla_kv_cache* cache); /* over all sequences */

/* [max_sequences, ceil(max_tokens / page_size)] int32, and [max_sequences] int32. Valid until the cache is destroyed;
 * contents follow the operations above. */
FLASH_MLA_API flash_mla_const_tensor flash_mla_kv_cache_page_table(const flash_mla_kv_cache* cache);
FLASH_MLA_API flash_mla_const_tensor flash_mla_kv_cache_seqlens(const flash_mla_kv_cache* cache);

/* ------------------------------------------------------------------------------------------------ formats of pages */

enum {
  FLASH_MLA_KV_BFLOAT16 = 0,   /* 1152 bytes a token of 512 + 64 columns */
  FLASH_MLA_KV_FLOAT16 = 1,    /* 1152 */
  FLASH_MLA_KV_FP8_FLAT = 2,   /* 576: e4m3 of value / scale; the scale is not stored */
  FLASH_MLA_KV_FP8_SCALED = 3, /* 656: FlashMLA's e4m3 latent, float32 scales, bfloat16 rope */
  FLASH_MLA_KV_INT8_SCALED = 4 /* 656: int8 latent, bfloat16 rope; the page's float32 scales at its end */
};

typedef struct flash_mla_kv_format {
  int32_t kind;      /* FLASH_MLA_KV_... */
  int64_t latent;    /* first columns of a row, 1 to 1024: 512 */
  int64_t rope;      /* last columns of a row, 0 to 1024: 64 */
  int64_t group;     /* latent columns that share a scale, 1 to 1024: 128 */
  int64_t page_size; /* tokens, 1 to 2^20 */
  float scale;       /* of FP8_FLAT: above 0 and finite, as 1 / scale and 448 scale are */
} flash_mla_kv_format;

/* Offsets and sizes in bytes. */
typedef struct flash_mla_kv_format_layout {
  int64_t token_bytes;  /* of one token, its scales included */
  int64_t page_bytes;   /* of one page; copying that many moves the scales too */
  int64_t token_stride; /* token t's columns begin at t * token_stride */
  int64_t rope_offset;  /* its rope columns at t * token_stride + rope_offset */
  int64_t num_scales;   /* float32 scales a token in the page; 0: none */
  int64_t scale_offset; /* token t's first scale is at scale_offset + t * scale_stride */
  int64_t scale_stride;
} flash_mla_kv_format_layout;

/* Errors: INVALID_ARGUMENT. *layout is not written then. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_format_describe(const flash_mla_kv_format* format,
                                                                                flash_mla_kv_format_layout* layout);

/* Writes rows [n, latent + rope] (float32, bfloat16 or float16) as tokens first_token to first_token + n - 1 of a page,
 * and the opposite. How values round, saturate and what becomes of NaN and infinity: flash_mla/kv_format.h. Errors:
 * INVALID_ARGUMENT; nothing is written then. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_format_quantise(const flash_mla_kv_format* format,
                                                                                const flash_mla_const_tensor* rows,
                                                                                void* page, size_t page_bytes,
                                                                                int64_t first_token);
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_format_dequantise(const flash_mla_kv_format* format,
                                                                                  const void* page, size_t page_bytes,
                                                                                  int64_t first_token,
                                                                                  const flash_mla_tensor* rows);

/* The most by which `value`, of this column, can differ after both; `largest` is the largest magnitude in its group. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_format_error_bound(const flash_mla_kv_format* format,
                                                                                   int64_t column, double value,
                                                                                   double largest, double* bound);

#ifdef __cplusplus
}
#endif

#endif
