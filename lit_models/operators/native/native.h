/* What the operators' passes are told, shared by all vector widths. Sizes and strides count elements, not bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

enum { FORWARD, GRAD_INPUT, GRAD_WEIGHT }; /* of an operator; the weight of an involution is its kernel */

/* A tensor of images or kernels: (batch, channels, height, width) or (batch, groups, taps, height, width). */
typedef struct {
    char *data;
    int64_t batch, group, channel, row, column; /* strides; group is 0 for images */
} Tensor;

typedef struct {
    int64_t pass, bfloat16; /* bfloat16: input, output and an involution's kernel are, else float32 */
    int64_t batches, channels, groups, size, stride, padding, height, width, height_out, width_out;
    Tensor input, output, kernel; /* or their gradients; a depthwise convolution has no kernel tensor */
    float *weight, *bias;         /* of a depthwise convolution: (channels, taps) and, or null, (channels) */
    int64_t parts;                /* the gradient of its weight is written in this many, (parts, channels, taps) */
    int64_t threads;
    int64_t bands, band_rows; /* how the rows of a result are cut into tasks */
    int64_t next, failed;     /* the next task to be taken; whether memory ran out */
} Job;

enum { NORM_STATISTICS, NORM_OUTPUT, NORM_SUMS, NORM_GRADIENTS };

typedef struct {
    Job job; /* its input, output, weight and bias; a pass is FORWARD or GRAD_INPUT as called, then one of the above */
    char *skip, *grad_output, *grad_skip, *grad_input; /* laid out as the input is */
    int64_t skipped, planes, period; /* planes: each channel's pixels lie side by side, else each pixel's channels */
    float *statistics;               /* (3, channels): mean, 1 / deviation, unbiased variance; written forward */
    float *grad_parameters;          /* (2, channels): of weight and bias */
    double *sums, *counts, *coefficients; /* (parts, 3, channels) of zeros, (parts,) and (5, channels) */
    double epsilon;
    float least; /* 0 where a ReLU follows, else -infinity */
} NormJob;

/* Take the next task; -1 when none is left. Threads that are held up take fewer. */
INLINE int64_t take(Job *job, int64_t tasks) {
    int64_t task = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
    return task < tasks ? task : -1;
}

INLINE float *workspace(Job *job, size_t floats) { /* a vector more than asked for: loads may run over the end */
    float *space = NULL;
    if (posix_memalign((void **)&space, 64, (floats + 16) * sizeof(float))) {
        __atomic_store_n(&job->failed, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    memset(space, 0, (floats + 16) * sizeof(float));
    return space;
}

INLINE float widened(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

INLINE uint16_t narrowed(float value) { /* to the nearest, ties to even; a NaN stays one */
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (uint16_t)rounded;
}
