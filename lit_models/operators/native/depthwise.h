/* Depthwise convolution and its two gradients. A vector holds channels of one pixel; channels come in blocks of two. */

#define BLOCK (2 * WIDTH)

/* A row of results, eight pixels at a time: a[i] += weight * x[i * STEP], over `rows` rows of `taps` taps each. */
INLINE void NAME(filtered_row_)(float *out, int64_t out_step, const float *start, const float *weight,
                                int64_t weight_row, int64_t weight_step, const float *x, int64_t x_row, int64_t x_step,
                                int64_t pixels, int64_t rows, int64_t taps, int STEP) {
    for (int64_t first = 0; first < pixels; first += 8) {
        const int64_t at = MAX(MIN(first, pixels - 8), 0); /* the last ones may be those before, again */
        for (int n = 0; n < BLOCK; n += WIDTH) {
            const vf bias = NAME(load)(start + n);
            vf a[8];
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) a[i] = bias;
            for (int64_t u = 0; u < rows; u++) {
                const float *w = weight + u * weight_row + n, *from = x + u * x_row + at * STEP * BLOCK + n;
                for (int64_t v = 0; v < taps; v++, w += weight_step, from += x_step) {
                    const vf tap = NAME(load)(w);
#pragma GCC unroll 8
                    for (int i = 0; i < 8; i++) a[i] += tap * NAME(load)(from + i * STEP * BLOCK);
                }
            }
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) NAME(store)(out + (at + i) * out_step * BLOCK + n, a[i]);
        }
    }
}

static void NAME(filtered_row)(float *out, int64_t out_step, const float *start, const float *weight,
                               int64_t weight_row, int64_t weight_step, const float *x, int64_t x_row, int64_t x_step,
                               int64_t pixels, int64_t rows, int64_t taps, int64_t step) {
#define ROW(STEP)                                                                                                    \
    NAME(filtered_row_)(out, out_step, start, weight, weight_row, weight_step, x, x_row, x_step, pixels, rows, taps, \
                        STEP)
    if (step == 1) ROW(1);
    else ROW(2);
#undef ROW
}

/* Add to the gradients of a row of TAPS weights what a band of the output's gradients times the input gives. */
INLINE void NAME(weight_row_)(float *sums, const float *grad, const float *x, int64_t x_row, int64_t rows,
                              int64_t width, int64_t stride, int TAPS) {
    vf a[7][2];
#pragma GCC unroll 7
    for (int v = 0; v < TAPS; v++) {
        a[v][0] = NAME(load)(sums + v * BLOCK);
        a[v][1] = NAME(load)(sums + v * BLOCK + WIDTH);
    }
    for (int64_t i = 0; i < rows; i++) {
        const float *from = x + i * stride * x_row;
        for (int64_t j = 0; j < width; j++, grad += BLOCK, from += stride * BLOCK) {
            const vf low = NAME(load)(grad), high = NAME(load)(grad + WIDTH);
#pragma GCC unroll 7
            for (int v = 0; v < TAPS; v++) {
                a[v][0] += low * NAME(load)(from + v * BLOCK);
                a[v][1] += high * NAME(load)(from + v * BLOCK + WIDTH);
            }
        }
    }
#pragma GCC unroll 7
    for (int v = 0; v < TAPS; v++) {
        NAME(store)(sums + v * BLOCK, a[v][0]);
        NAME(store)(sums + v * BLOCK + WIDTH, a[v][1]);
    }
}

static void NAME(weight_row)(float *sums, const float *grad, const float *x, int64_t x_row, int64_t rows, int64_t width,
                             int64_t stride, int64_t taps) {
    switch (taps) {
        case 1: NAME(weight_row_)(sums, grad, x, x_row, rows, width, stride, 1); break;
        case 2: NAME(weight_row_)(sums, grad, x, x_row, rows, width, stride, 2); break;
        case 3: NAME(weight_row_)(sums, grad, x, x_row, rows, width, stride, 3); break;
        case 4: NAME(weight_row_)(sums, grad, x, x_row, rows, width, stride, 4); break;
        case 5: NAME(weight_row_)(sums, grad, x, x_row, rows, width, stride, 5); break;
        case 6: NAME(weight_row_)(sums, grad, x, x_row, rows, width, stride, 6); break;
        default: NAME(weight_row_)(sums, grad, x, x_row, rows, width, stride, 7);
    }
}

/* A thread's share of a pass. A task is a band of rows of the result, of one image; for the gradient of the weights it
   is one of `parts` runs of such bands, summed in their order into a part of the result of its own, so that how many
   threads there are changes no bit. */
static void NAME(depthwise)(Job *job) {
    const Tensor *input = &job->input, *output = &job->output;
    const int64_t size = job->size, stride = job->stride, p = job->padding, taps = size * size;
    const int64_t channels = job->channels, blocks = (channels + BLOCK - 1) / BLOCK, half = job->bfloat16;
    const int64_t height_out = job->height_out, width_out = job->width_out, rows = job->band_rows;
    const int64_t columns = MAX((MAX(width_out, 8) - 1) * stride + size, job->width + p);
    const int64_t reach = (size - 1) / stride, columns_out = MAX(job->width, width_out) + 2 * reach + p + 9;
    const int64_t rows_in = (rows - 1) * stride + size, rows_out = (rows + size - 2) / stride + 2;
    const int gives_input = job->pass == GRAD_INPUT, gives_weight = job->pass == GRAD_WEIGHT;
    const size_t of_image = gives_input ? rows_out * columns_out : rows_in * columns;
    const int64_t line = MAX(MAX(job->width, width_out), 8) + 8 * stride;

    float *image = workspace(job, blocks * BLOCK * of_image);
    float *pixels = workspace(job, gives_weight ? rows * width_out * blocks * BLOCK : line * BLOCK);
    float *weights = workspace(job, blocks * BLOCK * taps); /* (blocks, taps, BLOCK), or the sums that become theirs */
    float *start = workspace(job, blocks * BLOCK);          /* the biases */
    if (!(image && pixels && weights && start)) goto end;
    if (!gives_weight)
        for (int64_t c = 0; c < channels; c++) {
            for (int64_t t = 0; t < taps; t++)
                weights[(c / BLOCK * taps + t) * BLOCK + c % BLOCK] = job->weight[c * taps + t];
            if (job->bias) start[c] = job->bias[c];
        }

    const int64_t tasks = gives_weight ? job->parts : job->batches * job->bands;
    for (int64_t task; (task = take(job, tasks)) >= 0;) {
        if (gives_weight) {
            memset(weights, 0, sizeof(float) * blocks * BLOCK * taps);
            const int64_t bands = job->batches * job->bands;
            for (int64_t n = task * bands / job->parts; n < (task + 1) * bands / job->parts; n++) {
                const int64_t b = n / job->bands, first = n % job->bands * rows;
                const int64_t band = MAX(MIN(rows, height_out - first), 0), count = (band - 1) * stride + size;
                NAME(gather_image)(image, BLOCK, input, b * input->batch, job->height, job->width, first * stride - p,
                                   count, p, columns, blocks, BLOCK, channels, half);
                NAME(gather_image)(pixels, BLOCK, output, b * output->batch, height_out, width_out, first, band, 0,
                                   width_out, blocks, BLOCK, channels, half);
                for (int64_t g = 0; g < blocks; g++)
                    for (int64_t u = 0; u < size; u++)
                        NAME(weight_row)(weights + (g * size + u) * size * BLOCK, pixels + g * band * width_out * BLOCK,
                                         image + (g * count + u) * columns * BLOCK, columns * BLOCK, band, width_out,
                                         stride, size);
            }
            for (int64_t c = 0; c < channels; c++)
                for (int64_t t = 0; t < taps; t++)
                    job->weight[(task * channels + c) * taps + t] = weights[(c / BLOCK * taps + t) * BLOCK + c % BLOCK];
            continue;
        }
        const int64_t b = task / job->bands, first = task % job->bands * rows;
        const Tensor *result = gives_input ? input : output;
        const int64_t last = MIN(first + rows, gives_input ? job->height : height_out);
        const int64_t from = gives_input ? MAX((first + p - size + stride) / stride, 0) : first * stride - p;
        const int64_t count = gives_input ? MAX(MIN((last - 1 + p) / stride + 1, height_out) - from, 0)
                                          : (last - first - 1) * stride + size;
        if (gives_input)
            NAME(gather_image)(image, BLOCK, output, b * output->batch, height_out, width_out, from, count, reach,
                               columns_out, blocks, BLOCK, channels, half);
        else
            NAME(gather_image)(image, BLOCK, input, b * input->batch, job->height, job->width, from, count, p, columns,
                               blocks, BLOCK, channels, half);
        for (int64_t n = 0; n < blocks * (last - first); n++) {
            /* in the order in which they lie in memory */
            const int64_t g = result->channel == 1 ? n % blocks : n / (last - first);
            const int64_t r = first + (result->channel == 1 ? n / blocks : n % (last - first));
            const float *w = weights + g * taps * BLOCK;
            if (gives_input) {
                /* row i of the output reads row r by the row r + p - i * stride of its taps */
                const int64_t low = MAX((r + p - size + stride) / stride, 0);
                const int64_t high = MIN((r + p) / stride + 1, height_out);
                for (int64_t phase = 0; phase < stride && phase < job->width; phase++) {
                    const int64_t v = (phase + p) % stride, j = (phase + p) / stride + reach;
                    NAME(filtered_row)(pixels + phase * BLOCK, stride, start + g * BLOCK,
                                       w + ((r + p - low * stride) * size + v) * BLOCK, -stride * size * BLOCK,
                                       stride * BLOCK, image + ((g * count + low - from) * columns_out + j) * BLOCK,
                                       columns_out * BLOCK, -BLOCK, (job->width - phase + stride - 1) / stride,
                                       MAX(high - low, 0), (size - v + stride - 1) / stride, 1);
                }
            } else {
                const int64_t top = MAX(p - r * stride, 0), bottom = MIN(size, job->height + p - r * stride);
                NAME(filtered_row)(pixels, 1, start + g * BLOCK, w + top * size * BLOCK, size * BLOCK, BLOCK,
                                   image + (g * count + (r - first) * stride + top) * columns * BLOCK, columns * BLOCK,
                                   BLOCK, width_out, bottom - top, size, stride);
            }
            NAME(scatter)(result->data, b * result->batch + g * BLOCK * result->channel + r * result->row, result->column,
                          result->channel, pixels, BLOCK, gives_input ? job->width : width_out,
                          MIN(BLOCK, channels - g * BLOCK), result->row, half);
        }
    }
end:
    free(image);
    free(pixels);
    free(weights);
    free(start);
}
