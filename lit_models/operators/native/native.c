/* Involution and depthwise convolution on CPUs: a pass over the tensors each, called from Python by ctypes.

   Every pass exists for each width of vectors, of which the processor and the caller choose at run time; so one build
   runs on any processor. Threads are those of PyTorch's own OpenMP: a second pool would fight with it for the cores. */
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
int64_t lit_job_bytes(void) { return sizeof(Job); }

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
#if defined(__x86_64__)
PASS(involution, 8)
PASS(depthwise, 8)
PASS(involution, 16)
PASS(depthwise, 16)
#else
#define involution_pass_8 involution_pass_4
#define involution_pass_16 involution_pass_4
#define depthwise_pass_8 depthwise_pass_4
#define depthwise_pass_16 depthwise_pass_4
#endif

int lit_involution(Job *job, int64_t width, Parallel *parallel) {
    return run(job, width, parallel, involution_pass_4, involution_pass_8, involution_pass_16);
}

int lit_depthwise(Job *job, int64_t width, Parallel *parallel) {
    return run(job, width, parallel, depthwise_pass_4, depthwise_pass_8, depthwise_pass_16);
}
