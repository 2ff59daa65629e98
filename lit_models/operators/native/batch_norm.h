/* Batch norm by the statistics of its batch, with the addition and the ReLU that may follow it, and its gradients: for
   each direction one pass for the sums and one for the result.

   Numbers are taken as they lie in memory, a chunk of `period` at a time, and each has its channel's coefficients at its
   place in a chunk: with the channels last a chunk holds whole pixels, and there is one row of coefficients; plane by
   plane a chunk holds pixels of one channel, and there is a row for each. So any number of channels fills the vectors. */

/* Write each channel's number wherever in a chunk that channel is. */
static __attribute__((noinline)) void NAME(spread)(float *to, const double *from, int64_t channels, int64_t period, int64_t planes) {
    for (int64_t c = 0; c < channels; c++) {
        if (planes)
            for (int64_t j = 0; j < period; j++) to[c * period + j] = (float)from[c];
        else
            for (int64_t j = c; j < period; j += channels) to[j] = (float)from[c];
    }
}

/* Add what was summed at each place of a chunk to the sums of the channels, and start anew. */
static __attribute__((noinline)) void NAME(fold)(double *to, float *sums, int64_t channels, int64_t period, int64_t planes) {
    for (int64_t c = 0; c < channels; c++) {
        if (planes)
            for (int64_t j = 0; j < period; j++) to[c] += sums[c * period + j];
        else
            for (int64_t j = c; j < period; j += channels) to[c] += sums[j];
    }
    memset(sums, 0, sizeof(float) * (planes ? channels : 1) * period);
}

/* The rows of coefficients of one channel, or of all. */
typedef struct {
    float *sum, *product, *mean, *scale, *shift, *constant, *slope;
} NAME(Rows);

/* Do a step for `count` numbers from place `at` of the tensors on. */
INLINE void NAME(chunk)(const NormJob *norm, NAME(Rows) r, int64_t at, int64_t count, int step, int half, int skipped) {
    const void *x = norm->job.input.data, *skip = norm->skip;
    void *y = norm->job.output.data, *grad_skip = norm->grad_skip, *grad_input = norm->grad_input;
    const void *grad = norm->grad_output;
    const float least = norm->least;
#if !defined(__clang__)
#pragma GCC ivdep
#endif
    for (int64_t j = 0; j < count; j++) {
        const float off = NAME(get)(x, at + j, half) - r.mean[j];
        if (step == NORM_STATISTICS) {
            r.sum[j] += off;
            r.product[j] += off * off;
        } else if (step == NORM_OUTPUT) {
            float value = off * r.scale[j] + r.shift[j];
            if (skipped) value += NAME(get)(skip, at + j, half);
            NAME(put)(y, at + j, value <= least ? least : value, half); /* a NaN stays one */
        } else {
            float g;
            if (step == NORM_GRADIENTS && skipped) g = NAME(get)(grad_skip, at + j, half);
            else {
                const float value = skipped ? NAME(get)(y, at + j, half) : off * r.scale[j] + r.shift[j];
                const float whole = NAME(get)(grad, at + j, half);
                g = value <= least ? 0 : whole;
            }
            if (step == NORM_SUMS) {
                if (skipped) NAME(put)(grad_skip, at + j, g, half);
                r.sum[j] += g;
                r.product[j] += g * off;
            } else NAME(put)(grad_input, at + j, g * r.scale[j] + (r.constant[j] + off * r.slope[j]), half);
        }
    }
}

/* A thread's share of a step. Tasks are the same for any number of threads, and what each sums is its own. */
INLINE void NAME(norm_step)(NormJob *norm, int step, int half, int skipped) {
    Job *job = &norm->job;
    const int64_t channels = job->channels, planes = norm->planes, period = norm->period;
    const int64_t size = job->height * job->width, total = job->batches * channels * size;
    const int64_t rows = planes ? channels : 1, run = planes ? size : period, width = rows * period;
    const int64_t units = (total + rows * run - 1) / (rows * run);
    float *space = workspace(job, 7 * width);
    if (!space) return;
    const NAME(Rows) all = {space, space + width, space + 2 * width, space + 3 * width, space + 4 * width,
                            space + 5 * width, space + 6 * width};
    float *coefficients[5] = {all.mean, all.scale, all.shift, all.constant, all.slope};
    for (int i = 0; i < 5 && step != NORM_STATISTICS; i++)
        NAME(spread)(coefficients[i], norm->coefficients + i * channels, channels, period, planes);
    for (int64_t task; (task = take(job, job->parts)) >= 0;) {
        const int64_t first = task * units / job->parts, last = (task + 1) * units / job->parts;
        double *sum = norm->sums + task * 3 * channels, *product = sum + channels, *near = sum + 2 * channels;
        norm->counts[task] = (double)(MIN(last * rows * run, total) - first * rows * run) / channels;
        if (step == NORM_STATISTICS) { /* sums of differences from a number near the mean, so that little cancels */
            const int64_t count = MIN(planes ? MIN(run, period) : period, total - first * rows * run);
            for (int64_t k = 0; k < rows; k++)
                for (int64_t j = 0; j < count; j++)
                    all.sum[k * period + j] = NAME(get)(job->input.data, (first * rows + k) * run + j, half);
            NAME(fold)(near, all.sum, channels, period, planes);
            for (int64_t c = 0; c < channels; c++) near[c] = (float)(near[c] / (planes ? count : count / channels));
            NAME(spread)(all.mean, near, channels, period, planes);
        }
        for (int64_t unit = first, added = 0; unit < last; unit++) {
            for (int64_t k = 0; k < rows; k++) {
                const int64_t start = (unit * rows + k) * run, end = MIN(start + run, total), o = k * period;
                const NAME(Rows) own = {all.sum + o,   all.product + o,  all.mean + o, all.scale + o,
                                        all.shift + o, all.constant + o, all.slope + o};
                for (int64_t at = start; at < end; at += period)
                    NAME(chunk)(norm, own, at, MIN(period, end - at), step, half, skipped);
            }
            added += (run + period - 1) / period;
            if ((step == NORM_STATISTICS || step == NORM_SUMS) && (added >= 256 || unit == last - 1)) {
                NAME(fold)(sum, all.sum, channels, period, planes); /* float32 is precise for this many terms */
                NAME(fold)(product, all.product, channels, period, planes);
                added = 0;
            }
        }
    }
    free(space);
}

static void NAME(batch_norm)(NormJob *norm) {
#define STEP(step)                                                      \
    case step:                                                          \
        if (norm->job.bfloat16) {                                       \
            if (norm->skipped) NAME(norm_step)(norm, step, 1, 1);       \
            else NAME(norm_step)(norm, step, 1, 0);                     \
        } else if (norm->skipped) NAME(norm_step)(norm, step, 0, 1);    \
        else NAME(norm_step)(norm, step, 0, 0);                         \
        break;
    switch (norm->job.pass) {
        STEP(NORM_STATISTICS)
        STEP(NORM_OUTPUT)
        STEP(NORM_SUMS)
        STEP(NORM_GRADIENTS)
    }
#undef STEP
}
