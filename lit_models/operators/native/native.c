/* Involution, depthwise convolution and batch norm on CPUs: few passes over the tensors each, called from Python by ctypes.

   Every pass exists for each width of vectors, of which the processor and the caller choose at run time; so one build
   runs on any processor. Threads are those of PyTorch's own OpenMP: a second pool would fight with it for the cores. */
#include <math.h>

#include "native.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, WIDTH)

#if defined(__x86_64__)
#define WIDTH 4
#include "passes.h"
#undef WIDTH
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define WIDTH 8
#include "passes.h"
#undef WIDTH
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq")
#endif
#define WIDTH 16
#include "passes.h"
#undef WIDTH
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
#define WIDTH 4
#include "passes.h"
#endif

/* The widest vectors of this processor, in floats. */
int64_t lit_width(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 4;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") ? 16 : 8;
#else
    return 4;
#endif
}

/* So that a build of an older source is not called with what it does not know. */
int64_t lit_job_bytes(void) { return sizeof(NormJob); }

typedef void Pass(void *);
typedef void Parallel(Pass *, void *, unsigned, unsigned); /* GOMP_parallel */

/* Run a pass by vectors of `width` floats. Returns 0, or 1 when memory ran out. */
static int run(Job *job, int64_t width, Parallel *parallel, Pass *by4, Pass *by8, Pass *by16) {
    Pass *pass = width == 16 ? by16 : width == 8 ? by8 : by4;
    job->next = job->failed = 0;
    if (job->threads > 1) parallel(pass, job, (unsigned)job->threads, 0);
    else pass(job);
    return (int)job->failed;
}

#define PASS(name, width) \
    static void JOIN(name##_pass, width)(void *job) { JOIN(name, width)(job); }
PASS(involution, 4)
PASS(depthwise, 4)
PASS(batch_norm, 4)
#if defined(__x86_64__)
PASS(involution, 8)
PASS(depthwise, 8)
PASS(batch_norm, 8)
PASS(involution, 16)
PASS(depthwise, 16)
PASS(batch_norm, 16)
#else
#define involution_pass_8 involution_pass_4
#define involution_pass_16 involution_pass_4
#define depthwise_pass_8 depthwise_pass_4
#define depthwise_pass_16 depthwise_pass_4
#define batch_norm_pass_8 batch_norm_pass_4
#define batch_norm_pass_16 batch_norm_pass_4
#endif

int lit_involution(Job *job, int64_t width, Parallel *parallel) {
    return run(job, width, parallel, involution_pass_4, involution_pass_8, involution_pass_16);
}

int lit_depthwise(Job *job, int64_t width, Parallel *parallel) {
    return run(job, width, parallel, depthwise_pass_4, depthwise_pass_8, depthwise_pass_16);
}

static int norm_step(NormJob *norm, int64_t step, int64_t width, Parallel *parallel) {
    norm->job.pass = step;
    return run(&norm->job, width, parallel, batch_norm_pass_4, batch_norm_pass_8, batch_norm_pass_16);
}

/* Mean, 1 / deviation and variance of each channel, from the parts one after the other: Chan et al. 1983. */
static void statistics(NormJob *norm) {
    const int64_t channels = norm->job.channels, parts = norm->job.parts;
    const double total = (double)norm->job.batches * norm->job.height * norm->job.width;
    float *mean = norm->statistics, *inverse = mean + channels, *variance = mean + 2 * channels;
    for (int64_t c = 0; c < channels; c++) {
        double count = 0, middle = 0, squares = 0;
        for (int64_t p = 0; p < parts; p++) {
            const double *sum = norm->sums + p * 3 * channels, more = norm->counts[p];
            const double own = sum[2 * channels + c] + sum[c] / more, off = own - middle;
            squares += sum[channels + c] - sum[c] * sum[c] / more + off * off * count * more / (count + more);
            middle += off * more / (count + more);
            count += more;
        }
        mean[c] = (float)middle;
        inverse[c] = (float)(1 / sqrt(squares / total + norm->epsilon));
        variance[c] = (float)(squares / (total - 1));
    }
}

int lit_batch_norm(NormJob *norm, int64_t width, Parallel *parallel) {
    const int64_t channels = norm->job.channels, forward = norm->job.pass == FORWARD;
    const double total = (double)norm->job.batches * norm->job.height * norm->job.width;
    const float *mean = norm->statistics, *inverse = mean + channels;
    double *by = norm->coefficients;
    if (forward) {
        if (norm_step(norm, NORM_STATISTICS, width, parallel)) return 1;
        statistics(norm);
    }
    for (int64_t c = 0; c < channels; c++) {
        by[c] = mean[c];
        by[channels + c] = (double)inverse[c] * norm->job.weight[c];
        by[2 * channels + c] = norm->job.bias[c];
    }
    if (forward) return norm_step(norm, NORM_OUTPUT, width, parallel);
    if (norm_step(norm, NORM_SUMS, width, parallel)) return 1;
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, product = 0;
        for (int64_t p = 0; p < norm->job.parts; p++) {
            sum += norm->sums[p * 3 * channels + c];
            product += norm->sums[p * 3 * channels + channels + c];
        }
        norm->grad_parameters[c] = (float)(product * inverse[c]);
        norm->grad_parameters[channels + c] = (float)sum;
        by[3 * channels + c] = -by[channels + c] * sum / total;
        by[4 * channels + c] = -by[channels + c] * inverse[c] * inverse[c] * product / total;
    }
    return norm_step(norm, NORM_GRADIENTS, width, parallel);
}
