/* A header with one of everything that crosses. */
#include <stdint.h>

#define LLV_ANSWER (-42)
#define LLV_TEXT "not a number, so it does not cross"

/** What a call came to. */
enum llv_status_code { LLV_OK = 0, /**< Done. */ LLV_BAD = 1 /**< Not <done> & dusted. */ };
/** One of llv_status_code. */
typedef int32_t llv_status;

/** Three bits. */
enum llv_part { LLV_PART_A = 1, LLV_PART_B = 2, LLV_PART_C = 4 };

typedef struct llv_thing llv_thing;

/** Hears of it. */
typedef int32_t (*llv_part_fn)(int32_t part, const char* name, void* user);

/** A thing's face. */
typedef struct llv_face {
  int32_t part;        /**< llv_part. */
  float nose;
  const char* name;    /**< Borrowed. */
  int64_t shape[3];    /**< Row-major. */
  const float* values; /**< Borrowed. */
} llv_face;

/** Makes a thing from a face, with a sentence so long that it has to be put on more than one line of the comment. @thread any */
llv_status llv_thing_create(const llv_face* face, llv_thing** out_thing);

/** Gives it back. */
void llv_thing_release(llv_thing* thing);

/** Reads a span, writes a span and a value, and tells of it. @see llv_part */
llv_status llv_thing_run(llv_thing* thing, const char* name, const float* values,
                         int64_t values_count, double* out_sums, int64_t sums_count,
                         int64_t* out_total, llv_part_fn callback, void* user);

/** Why. */
const char* llv_error_message(void);
