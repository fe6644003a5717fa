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
      1,                        /* an argument breaks the contract; the message names it, its value, what is allowed */
  FLASH_MLA_PLAN_MISMATCH = 2,  /* the plan was made for other shapes or other lengths than this call's */
  FLASH_MLA_UNSUPPORTED = 3,    /* legal, but not on this machine or in this build */
  FLASH_MLA_OUT_OF_PAGES = 4,   /* the page pool cannot serve the request */
  FLASH_MLA_NOT_FOUND = 5,      /* unknown name or id */
  FLASH_MLA_IO_ERROR = 6,       /* a file could not be read or written */
  FLASH_MLA_OUT_OF_MEMORY = 7,  /* the host's memory is exhausted */
  FLASH_MLA_INTERNAL_ERROR = 8, /* a defect of this library */
  FLASH_MLA_CORRUPT = 9,        /* a KV cache whose books are wrong; it serves no more */
  FLASH_MLA_DEVICE_ERROR = 10   /* a call of the CUDA driver failed; the message names it and says why */
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
  const char* name;        /* "avx512_bf16", "avx512", "avx2", "neon_bf16", "neon", "scalar", "sm90" */
  const char* description; /* the instructions it needs */
  int built;               /* 1: compiled into this library */
  int usable;              /* 1: built, and this machine can run it */
  const char* reason;      /* why it is not usable; "" if it is */
  int on_cuda;             /* 1: a call's arrays and workspace lie in a CUDA device's memory */
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
  /* CUDA backends, not 0: lengths are read on the device, each time by flash_mla_plan_on_device(); seqlens is not
   * looked at. Not for ragged q or batch-invariant plans, and for at most 256 workers. */
  int32_t lengths_on_device;
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

/* CUDA backends: copies the plan to the workspace that flash_mla_decode() will be given, in the stream's order. Others
 * need no upload, which then does nothing. Errors: INVALID_ARGUMENT, DEVICE_ERROR. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_plan_upload(const flash_mla_plan* plan, void* workspace,
                                                                         size_t workspace_size, void* stream);

/* The same for plans with lengths_on_device, from `seqlens` [b] in the device's memory: one launch in the stream's
 * order, no allocation and no synchronisation, so that a captured graph plans anew in every replay. Negative lengths
 * count as 0. Errors: INVALID_ARGUMENT, DEVICE_ERROR. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_plan_on_device(const flash_mla_plan* plan,
                                                                            const flash_mla_const_tensor* seqlens,
                                                                            void* workspace, size_t workspace_size,
                                                                            void* stream);

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
  void* stream;                       /* CUDA backends: CUstream or cudaStream_t; null: the default stream */
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

/* Pages of one format; all groups share the pool. */
typedef struct flash_mla_kv_cache_group {
  int64_t page_size; /* tokens a page; 0: the geometry's */
  int64_t window;    /* 0: every token stays visible; w > 0: to a query at p only p - w + 1 to p ... */
  int64_t sinks;     /* ... and the first `sinks` tokens of the sequence */
} flash_mla_kv_cache_group;

/* Zero-initialise, then set what differs. */
typedef struct flash_mla_kv_cache_options {
  const flash_mla_kv_cache_group* groups; /* null: one, of the geometry's page size, without a window */
  size_t num_groups;                      /* at most 8 */
  int32_t prefix_caching;                 /* 1: keep finished pages for sequences that begin alike */
  int64_t watermark_pages;                /* that admission leaves free */
  int64_t max_in_flight_tokens;           /* most tokens beyond the computed ones; 0: unknown */
  int64_t max_events;                     /* events kept; 0: none */
  const int64_t* tier_pages;              /* pages of each tier */
  size_t num_tiers;                       /* at most 8 */
  int64_t max_transfers;                  /* in flight; 0: enough for one sequence */
  const uint64_t* hash_key;               /* [2] secret of the prefix hash; null: random */
} flash_mla_kv_cache_options;

/* Something other than its token that positions depend on, an image for one. */
typedef struct flash_mla_token_extra {
  int64_t first;
  int64_t count;
  uint64_t value; /* identifies the content */
} flash_mla_token_extra;

/* What a sequence begins with. Zero-initialise, then set what differs. */
typedef struct flash_mla_sequence_spec {
  const int32_t* prompt; /* token ids */
  size_t prompt_size;
  const flash_mla_token_extra* extras; /* in order of first */
  size_t num_extras;
  uint64_t salt;           /* sequences of different salt never share pages */
  uint64_t adapter;        /* 0: none */
  int32_t priority;        /* 0 to 3: pages of lower priority are evicted first */
  int32_t leave_watermark; /* 1: refuse rather than go below the watermark */
  int64_t reserve_tokens;  /* length up to which growth cannot fail; 0: nothing is reserved */
} flash_mla_sequence_spec;

typedef struct flash_mla_admission {
  int32_t fits;
  int64_t num_computed_tokens; /* the prefix found */
  int64_t pages_needed;        /* new ones, over all groups */
  int64_t evictable_hits;      /* pages of the prefix that nobody uses */
  int64_t pages_available;     /* free or evictable, not reserved, the watermark taken off */
} flash_mla_admission;

/* The caller's order: copy the first `tokens` tokens of page `from` to page `to` in every array of the group. */
typedef struct flash_mla_page_copy {
  int32_t group;
  int32_t from;
  int32_t to;
  int32_t tokens;
} flash_mla_page_copy;

#define FLASH_MLA_MAX_PAGE_COPIES 8

/* Why the last call ended with OUT_OF_PAGES. */
typedef struct flash_mla_out_of_pages {
  int64_t needed;
  int64_t free;
  int64_t evictable;
  int64_t reserved; /* of free and evictable, promised to others */
} flash_mla_out_of_pages;

typedef struct flash_mla_kv_cache_statistics {
  int64_t num_pages;
  int64_t free_pages;   /* hold nothing */
  int64_t cached_pages; /* hold a prefix that nobody uses: evictable */
  int64_t used_pages;
  int64_t reserved_pages;
  int64_t sequences;
  int64_t tokens;
  int64_t page_references; /* minus used_pages: what sharing saves */
  int64_t wasted_tokens;   /* room of the last pages that holds no token */
  int64_t allocations;
  int64_t evictions;
  int64_t copies;
  int64_t query_tokens;
  int64_t hit_tokens;
  int64_t published_pages;
  int64_t dropped_events;
} flash_mla_kv_cache_statistics;

enum { FLASH_MLA_EVENT_STORED = 0, FLASH_MLA_EVENT_REMOVED = 1, FLASH_MLA_EVENT_CLEARED = 2 };

typedef struct flash_mla_kv_cache_event {
  int32_t kind; /* a FLASH_MLA_EVENT_ value */
  int32_t group;
  int32_t page;
  int32_t num_tokens;
  uint64_t hash[2];        /* of the page and all before it */
  uint64_t parent_hash[2]; /* stored: of the page before it */
} flash_mla_kv_cache_event;

typedef struct flash_mla_page_transfer {
  int64_t id;
  int32_t group;
  int32_t page;   /* in the pool */
  uint32_t epoch; /* of that page */
  int32_t tier;
  int64_t tier_page;
} flash_mla_page_transfer;

/* One array of pages, a layer of one format: page i lies at data + i * page_stride. */
typedef struct flash_mla_page_array {
  void* data;
  int64_t num_pages;
  int64_t page_bytes;  /* scales included */
  int64_t page_stride; /* bytes; 0: page_bytes */
  int64_t token_bytes; /* > 0: tokens lie one after the other, and a partial copy moves whole ones; 0: a copy moves the
                          page */
  int32_t group;
} flash_mla_page_array;

/* Which pages hold which sequence's tokens. Holds no keys itself: the caller owns the arrays. A sequence has a row in
 * the page table; its id is never that of a removed one. One writer at a time; what is marked "any thread" may run
 * beside it. A refused call changes nothing. CORRUPT: the books are wrong, and the cache serves no more. */
typedef struct flash_mla_kv_cache flash_mla_kv_cache;

/* Destroy it with flash_mla_kv_cache_destroy(), which takes null too. Errors: INVALID_ARGUMENT. *cache is null then. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status
flash_mla_kv_cache_create(const flash_mla_kv_cache_geometry* geometry, flash_mla_kv_cache** cache);
/* `options` may be null. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_create_with(
    const flash_mla_kv_cache_geometry* geometry, const flash_mla_kv_cache_options* options, flash_mla_kv_cache** cache);
FLASH_MLA_API void flash_mla_kv_cache_destroy(flash_mla_kv_cache* cache);

/* A new, empty sequence: its id. Errors: OUT_OF_PAGES when all rows are in use. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_add_sequence(flash_mla_kv_cache* cache,
                                                                                   int64_t* sequence);
/* A new sequence that begins with the longest cached prefix of the prompt, never its last token: its id and the tokens
 * that need no computing. Errors: OUT_OF_PAGES, INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_start_sequence(
    flash_mla_kv_cache* cache, const flash_mla_sequence_spec* spec, int64_t* sequence, int64_t* num_computed_tokens);
/* Grows a sequence by num_tokens tokens of unknown ids and writes where each goes: slots[num_tokens], as slot_mapping
 * takes them. Errors: NOT_FOUND, INVALID_ARGUMENT (longer than max_tokens; frozen; the last page is shared: see grow),
 * OUT_OF_PAGES. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_append_tokens(flash_mla_kv_cache* cache,
                                                                                    int64_t sequence, size_t num_tokens,
                                                                                    int64_t* slots);
/* The same; tokens[num_tokens] are their ids, or null; slots may be null. Writes the copies that a shared last page
 * takes, to be carried out before the slots are written: copies[FLASH_MLA_MAX_PAGE_COPIES] and their number. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_grow(flash_mla_kv_cache* cache, int64_t sequence,
                                                                           size_t num_tokens, const int32_t* tokens,
                                                                           const flash_mla_token_extra* extras,
                                                                           size_t num_extras, int64_t* slots,
                                                                           flash_mla_page_copy* copies,
                                                                           size_t* num_copies);
/* The first num_tokens tokens have been written and are final: publishes the pages that they fill, frees those that
 * leave a window. Errors: NOT_FOUND, INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_mark_computed(flash_mla_kv_cache* cache,
                                                                                    int64_t sequence,
                                                                                    int64_t num_tokens);
/* Shortens a sequence. Errors: NOT_FOUND, INVALID_ARGUMENT (longer; or a window would need pages that are gone). */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_rewind(flash_mla_kv_cache* cache,
                                                                             int64_t sequence, int64_t num_tokens);
/* A second sequence of the same tokens in the same pages. Errors: NOT_FOUND, OUT_OF_PAGES (rows). */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_fork(flash_mla_kv_cache* cache, int64_t sequence,
                                                                           int64_t* child);
/* No more growth or rewinding. Errors: NOT_FOUND. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_freeze(flash_mla_kv_cache* cache,
                                                                             int64_t sequence);
/* Frees the sequence and its pages. Errors: NOT_FOUND. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_remove_sequence(flash_mla_kv_cache* cache,
                                                                                      int64_t sequence);

/* Whether a sequence could begin, and what it would take. Errors: INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_can_admit(flash_mla_kv_cache* cache,
                                                                                const flash_mla_sequence_spec* spec,
                                                                                flash_mla_admission* admission);
/* 1: growth by num_tokens would find its pages; 0: not, or unknown. */
FLASH_MLA_API int flash_mla_kv_cache_can_allocate(const flash_mla_kv_cache* cache, int64_t sequence,
                                                  int64_t num_tokens);
/* Promises the pages for growth to num_tokens tokens; 0 gives them back. Errors: NOT_FOUND, OUT_OF_PAGES. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_reserve(flash_mla_kv_cache* cache,
                                                                              int64_t sequence, int64_t num_tokens);
FLASH_MLA_API flash_mla_out_of_pages flash_mla_kv_cache_shortage(const flash_mla_kv_cache* cache);

/* Tokens of the longest cached prefix. Errors: INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_find_prefix(flash_mla_kv_cache* cache,
                                                                                  const flash_mla_sequence_spec* spec,
                                                                                  int64_t* num_tokens);
/* Keeps the cached prefix from eviction; undone with the number of tokens that came back. Errors: INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_pin_prefix(flash_mla_kv_cache* cache,
                                                                                 const flash_mla_sequence_spec* spec,
                                                                                 int64_t* num_tokens);
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_unpin_prefix(flash_mla_kv_cache* cache,
                                                                                   const flash_mla_sequence_spec* spec,
                                                                                   int64_t num_tokens);
/* Forgets all cached prefixes. Errors: INVALID_ARGUMENT while any page is in use. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_reset_prefix_cache(flash_mla_kv_cache* cache);

/* Begin to move a sequence to a tier and back: write the transfers to carry out, and their number. Complete each when
 * its bytes have arrived; until then no page of it is handed out. Errors: NOT_FOUND, OUT_OF_PAGES (tier, pool, or
 * max_transfers too few), INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_swap_out(flash_mla_kv_cache* cache,
                                                                               int64_t sequence, int64_t tier,
                                                                               flash_mla_page_transfer* transfers,
                                                                               size_t max_transfers,
                                                                               size_t* num_transfers);
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_swap_in(flash_mla_kv_cache* cache,
                                                                              int64_t sequence,
                                                                              flash_mla_page_transfer* transfers,
                                                                              size_t max_transfers,
                                                                              size_t* num_transfers);
/* Errors: NOT_FOUND (unknown, or completed before), INVALID_ARGUMENT (another page or epoch). */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status
flash_mla_kv_cache_complete_transfer(flash_mla_kv_cache* cache, const flash_mla_page_transfer* transfer);
FLASH_MLA_API int flash_mla_kv_cache_is_resident(const flash_mla_kv_cache* cache, int64_t sequence);

/* Pages that num_tokens more tokens of this sequence need, over all groups; -1 for an unknown sequence. These calls
 * take a null cache for one that holds nothing: -1, 0, or an absent view. */
FLASH_MLA_API int64_t flash_mla_kv_cache_pages_needed(const flash_mla_kv_cache* cache, int64_t sequence,
                                                      int64_t num_tokens);
/* The row of a sequence in the tables, its length, and its computed tokens; -1 for an unknown sequence. */
FLASH_MLA_API int64_t flash_mla_kv_cache_row_of(const flash_mla_kv_cache* cache, int64_t sequence);
FLASH_MLA_API int64_t flash_mla_kv_cache_length(const flash_mla_kv_cache* cache, int64_t sequence);
FLASH_MLA_API int64_t flash_mla_kv_cache_num_computed_tokens(const flash_mla_kv_cache* cache, int64_t sequence);
/* Any thread: */
FLASH_MLA_API int64_t flash_mla_kv_cache_num_free_pages(const flash_mla_kv_cache* cache); /* free or evictable */
FLASH_MLA_API int64_t flash_mla_kv_cache_num_used_pages(const flash_mla_kv_cache* cache);
FLASH_MLA_API int64_t flash_mla_kv_cache_num_tokens(const flash_mla_kv_cache* cache); /* over all sequences */
FLASH_MLA_API flash_mla_kv_cache_statistics flash_mla_kv_cache_get_statistics(const flash_mla_kv_cache* cache);
/* The first max_pages pages of a row and its length at one moment; -1 for an unknown row or group. */
FLASH_MLA_API int64_t flash_mla_kv_cache_read_row(const flash_mla_kv_cache* cache, int64_t row, int64_t group,
                                                  int32_t* pages, size_t max_pages);

/* [max_sequences, ceil(max_tokens / page_size)] int32, and [max_sequences] int32. Valid until the cache is destroyed;
 * contents follow the operations above. */
FLASH_MLA_API flash_mla_const_tensor flash_mla_kv_cache_page_table(const flash_mla_kv_cache* cache);
FLASH_MLA_API flash_mla_const_tensor flash_mla_kv_cache_group_page_table(const flash_mla_kv_cache* cache,
                                                                         int64_t group);
FLASH_MLA_API flash_mla_const_tensor flash_mla_kv_cache_seqlens(const flash_mla_kv_cache* cache);
/* Slots of num_tokens tokens from `first` on in a group; -1 where the page has left the window. Errors: NOT_FOUND,
 * INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_slot_mapping(const flash_mla_kv_cache* cache,
                                                                                   int64_t sequence, int64_t group,
                                                                                   int64_t first, size_t num_tokens,
                                                                                   int64_t* slots);

/* Moves out the oldest events: their number. */
FLASH_MLA_API size_t flash_mla_kv_cache_take_events(flash_mla_kv_cache* cache, flash_mla_kv_cache_event* events,
                                                    size_t max_events);
/* Audits all books. Errors: CORRUPT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_verify(flash_mla_kv_cache* cache);

/* Copies pages within the caller's arrays. Errors: INVALID_ARGUMENT. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_copy_pages(const flash_mla_page_array* arrays,
                                                                        size_t num_arrays,
                                                                        const flash_mla_page_copy* copies,
                                                                        size_t num_copies);
/* Writes sequences, prefix cache and the arrays' bytes to a file: all of it or nothing. Errors: IO_ERROR,
 * INVALID_ARGUMENT (a sequence is swapped out). */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_snapshot(const flash_mla_kv_cache* cache,
                                                                               const char* path,
                                                                               const flash_mla_page_array* arrays,
                                                                               size_t num_arrays);
/* A cache as it was, with num_pages pages (0: as many), and the bytes in the arrays. Errors: IO_ERROR,
 * INVALID_ARGUMENT (foreign, other version, truncated, corrupt, of another geometry, too many pages). *cache is null
 * then. */
FLASH_MLA_API FLASH_MLA_NODISCARD flash_mla_status flash_mla_kv_cache_restore(const char* path,
                                                                              const flash_mla_page_array* arrays,
                                                                              size_t num_arrays, int64_t num_pages,
                                                                              flash_mla_kv_cache** cache);

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
