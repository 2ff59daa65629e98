/* Involution and its two gradients. A vector holds channels of one pixel, which all have the same kernel there. */

/* Add to PIXELS outputs the taps of one row of their kernels: a[i] += kernel[i][v] * x[i * step + v].
   Where SIZE and a step of 1 are known to the compiler, each pixel of x is loaded once for all outputs that it is in. */
INLINE void NAME(tap_row)(vf *a, int PIXELS, int VECTORS, int SIZE, const float *const *kernel, int64_t tap,
                          const float *x, int64_t pitch, int64_t size, int64_t step) {
    if (SIZE) {
#pragma GCC unroll 16
        for (int q = 0; q < PIXELS + SIZE - 1; q++) {
            vf xs[3];
#pragma GCC unroll 3
            for (int n = 0; n < VECTORS; n++) xs[n] = NAME(load)(x + q * pitch + n * WIDTH);
#pragma GCC unroll 8
            for (int i = 0; i < PIXELS; i++) {
                if (q < i || q - i >= SIZE) continue;
                float k = kernel[i][tap + q - i];
#pragma GCC unroll 3
                for (int n = 0; n < VECTORS; n++) a[i * VECTORS + n] += k * xs[n];
            }
        }
    } else {
        for (int64_t v = 0; v < size; v++) {
#pragma GCC unroll 8
            for (int i = 0; i < PIXELS; i++) {
                float k = kernel[i][tap + v];
#pragma GCC unroll 3
                for (int n = 0; n < VECTORS; n++)
                    a[i * VECTORS + n] += k * NAME(load)(x + (i * step + v) * pitch + n * WIDTH);
            }
        }
    }
}

/* A row of outputs: of columns 0 to `width` - 1, from the input's rows `top` to `bottom` - 1 of the kernel's. */
INLINE void NAME(output_row_)(float *out, int64_t pitch, const float *kernel, int64_t kernel_pitch, const float *x,
                              int64_t x_row, int64_t width, int64_t size, int64_t step, int64_t top, int64_t bottom,
                              int64_t ahead, int VECTORS, int SIZE) {
    enum { MOST = 8 };
    const int PIXELS = VECTORS == 1 ? 8 : 4;
    for (int64_t start = 0; start < width; start += PIXELS) {
        int64_t at = MAX(MIN(start, width - PIXELS), 0); /* the last ones may be those before, again */
        const float *kernels[MOST];
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++) {
            kernels[i] = kernel + MIN(at + i, width - 1) * kernel_pitch;
            for (int64_t t = 0; ahead && t < size * size; t += 16) NAME(fetch)(kernels[i], t + ahead, 0);
        }
        vf a[3 * MOST] = {{0}};
        for (int64_t u = top; u < bottom; u++)
            NAME(tap_row)(a, PIXELS, VECTORS, SIZE, kernels, u * size, x + u * x_row + at * step * pitch, pitch, size,
                          step);
#pragma GCC unroll 8
        for (int i = 0; i < PIXELS; i++)
#pragma GCC unroll 3
            for (int n = 0; n < VECTORS; n++) NAME(store)(out + (at + i) * pitch + n * WIDTH, a[i * VECTORS + n]);
    }
}

/* Call f with the number of vectors, and the kernel's size where the compiler is to know it (0 elsewhere). */
#define KNOWN_CASE(vectors, known, f)   \
    switch (10 * (known) + (vectors)) { \
        case 31: f(1, 3); break;        \
        case 32: f(2, 3); break;        \
        case 33: f(3, 3); break;        \
        case 51: f(1, 5); break;        \
        case 52: f(2, 5); break;        \
        case 53: f(3, 5); break;        \
        case 71: f(1, 7); break;        \
        case 72: f(2, 7); break;        \
        case 73: f(3, 7); break;        \
        case 1: f(1, 0); break;         \
        case 2: f(2, 0); break;         \
        default: f(3, 0); break;        \
    }

/* Likewise for each block of at most three vectors of channels, the first of which is channel `lane`. */
#define EACH_BLOCK(pitch, known, f)                                                   \
    for (int64_t lane = 0, left = (pitch) / WIDTH, taken; left > 0; left -= taken) {  \
        taken = left == 1 ? 1 : left % 2 ? 3 : 2;                                     \
        KNOWN_CASE(taken, known, f)                                                   \
        lane += taken * WIDTH;                                                        \
    }

static void NAME(output_row)(float *out, int64_t pitch, const float *kernel, int64_t kernel_pitch, const float *x,
                             int64_t x_row, int64_t width, int64_t size, int64_t step, int64_t top, int64_t bottom,
                             int64_t ahead) {
    int known = step == 1 && (size == 3 || size == 5 || size == 7) ? (int)size : 0;
#define ROW(VECTORS, SIZE)                                                                                            \
    NAME(output_row_)(out + lane, pitch, kernel, kernel_pitch, x + lane, x_row, width, size, step, top, bottom, ahead, \
                      VECTORS, SIZE)
    EACH_BLOCK(pitch, known, ROW)
#undef ROW
}

/* The gradient of `PIXELS` inputs, `stride` apart, from one row of gradients of the output and of kernels. Tap
   first + stride * a of the output `a` places to the left of a pixel's first one read that pixel. */
INLINE void NAME(input_row_)(float *out, int64_t pitch, const float *kernels, int64_t kernel_pitch, int64_t kernel_row,
                             const float *grad, int64_t grad_row, int64_t pixels, int64_t size, int64_t stride,
                             int64_t first, int64_t rows, int VECTORS, int SIZE) {
    enum { MOST = 8 };
    const int PIXELS = VECTORS == 1 ? 8 : 4;
    for (int64_t start = 0; start < pixels; start += PIXELS) {
        int64_t at = MAX(MIN(start, pixels - PIXELS), 0);
        vf a[3 * MOST] = {{0}};
        for (int64_t i = 0; i < rows; i++) { /* rows of the output, whose taps go up as they go down */
            const float *g = grad + i * grad_row + at * pitch, *k = kernels + i * kernel_row + at * kernel_pitch;
            if (SIZE) {
#pragma GCC unroll 16
                for (int q = 0; q < PIXELS + SIZE - 1; q++) {
                    vf gs[3];
#pragma GCC unroll 3
                    for (int n = 0; n < VECTORS; n++) gs[n] = NAME(load)(g + (q - SIZE + 1) * pitch + n * WIDTH);
#pragma GCC unroll 8
                    for (int m = 0; m < PIXELS; m++) {
                        int v = m - q + SIZE - 1;
                        if (v < 0 || v >= SIZE) continue;
                        float tap = k[(q - SIZE + 1) * kernel_pitch + v];
#pragma GCC unroll 3
                        for (int n = 0; n < VECTORS; n++) a[m * VECTORS + n] += tap * gs[n];
                    }
                }
            } else {
                for (int64_t b = 0, v = first; v < size; b++, v += stride) {
#pragma GCC unroll 8
                    for (int m = 0; m < PIXELS; m++) {
                        float tap = k[(m - b) * kernel_pitch + v];
#pragma GCC unroll 3
                        for (int n = 0; n < VECTORS; n++)
                            a[m * VECTORS + n] += tap * NAME(load)(g + (m - b) * pitch + n * WIDTH);
                    }
                }
            }
        }
#pragma GCC unroll 8
        for (int m = 0; m < PIXELS; m++)
#pragma GCC unroll 3
            for (int n = 0; n < VECTORS; n++)
                NAME(store)(out + (at + m) * stride * pitch + n * WIDTH, a[m * VECTORS + n]);
    }
}

static void NAME(input_row)(float *out, int64_t pitch, const float *kernels, int64_t kernel_pitch, int64_t kernel_row,
                            const float *grad, int64_t grad_row, int64_t pixels, int64_t size, int64_t stride,
                            int64_t first, int64_t rows) {
    int known = stride == 1 && (size == 3 || size == 5 || size == 7) ? (int)size : 0;
#define ROW(VECTORS, SIZE)                                                                                         \
    NAME(input_row_)(out + lane, pitch, kernels, kernel_pitch, kernel_row, grad + lane, grad_row, pixels, size, stride, \
                     first, rows, VECTORS, SIZE)
    EACH_BLOCK(pitch, known, ROW)
#undef ROW
}

/* The gradient of a row of kernels: of each tap the sum over channels of x, where it read, times grad. */
INLINE void NAME(kernel_row_)(float *out, int64_t out_pitch, int exact, const float *grad, int64_t pitch, const float *x,
                              int64_t x_row, int64_t size, int64_t width, int64_t step, int64_t ahead, int VECTORS,
                              int SIZE) {
    const int64_t side = SIZE ? SIZE : size, vectors = VECTORS ? VECTORS : pitch / WIDTH, apart = vectors * WIDTH;
    for (int64_t j = 0; j < width; j++, out += out_pitch, grad += apart, x += step * apart) {
        /* an odd number squared is one more than a multiple of eight */
        const int64_t last = side * side - 1;
        for (int64_t t = 0; ahead && t < side * side; t += 16) NAME(fetch)(out, t + ahead, 0);
        vf a[SUMS];
#pragma GCC unroll 6
        for (int64_t t = 0; t < last; t += SUMS) {
#pragma GCC unroll 8
            for (int i = 0; i < SUMS; i++) a[i] = (vf){0};
#pragma GCC unroll 3
            for (int64_t n = 0; n < vectors; n++) {
                vf g = NAME(load)(grad + n * WIDTH);
#pragma GCC unroll 8
                for (int i = 0; i < SUMS; i++)
                    a[i] += g * NAME(load)(x + (t + i) / side * x_row + (t + i) % side * apart + n * WIDTH);
            }
            NAME(sums)(out + t, a);
        }
#pragma GCC unroll 8
        for (int i = 0; i < SUMS; i++) a[i] = (vf){0};
#pragma GCC unroll 3
        for (int64_t n = 0; n < vectors; n++)
            a[0] += NAME(load)(grad + n * WIDTH) * NAME(load)(x + (side - 1) * (x_row + apart) + n * WIDTH);
        if (exact) { /* nothing may be written past the last tap */
            float sums[SUMS];
            NAME(sums)(sums, a);
            out[last] = sums[0];
        } else NAME(sums)(out + last, a);
    }
}

static void NAME(kernel_row)(float *out, int64_t out_pitch, int exact, const float *grad, int64_t pitch, const float *x,
                             int64_t x_row, int64_t size, int64_t width, int64_t step, int64_t ahead) {
    const int64_t vectors = pitch / WIDTH;
#define ROW(VECTORS, SIZE) \
    NAME(kernel_row_)(out, out_pitch, exact, grad, pitch, x, x_row, size, width, step, ahead, VECTORS, SIZE)
    if (vectors > 3) ROW(0, 0);
    else KNOWN_CASE(vectors, size == 3 || size == 5 || size == 7 ? size : 0, ROW)
#undef ROW
}

/* Put the rows of kernels apart: the same row of all kernels lies together, each filled up to `tap_pitch`. */
static void NAME(by_rows)(float *to, int64_t tap_pitch, int64_t to_row, const float *from, int64_t pitch, int64_t width,
                          int64_t size, int64_t ahead) {
    for (int64_t j = 0; j < width; j++, to += tap_pitch, from += pitch) {
        for (int64_t t = 0; ahead && t < size * size; t += 16) NAME(fetch)(from, t + ahead, 0);
        if (size == 7) {
            for (int u = 0; u < 6; u++) memcpy(to + u * to_row, from + u * 7, 8 * sizeof(float)); /* the eighth is unread */
            memcpy(to + 6 * to_row, from + 42, 7 * sizeof(float));
        } else if (size == 3)
            for (int u = 0; u < 3; u++) memcpy(to + u * to_row, from + u * 3, 3 * sizeof(float));
        else
            for (int64_t u = 0; u < size; u++)
                for (int64_t v = 0; v < size; v++) to[u * to_row + v] = from[u * size + v];
    }
}

/* A thread's share of a pass. A task is a band of rows of the result, of one image, over all groups: these share lines
   of the cache where the channels are last. */
static void NAME(involution)(Job *job) {
    const Tensor *input = &job->input, *output = &job->output, *kernel = &job->kernel;
    const int64_t size = job->size, stride = job->stride, p = job->padding, taps = size * size;
    const int64_t groups = job->groups, channels = job->channels / groups, pitch = (channels + WIDTH - 1) / WIDTH * WIDTH;
    const int64_t width_out = job->width_out, tile = 8, half = job->bfloat16, rows = job->band_rows;
    /* of the input, with what the taps of the last tile reach; of the output, with what taps reach to both sides */
    const int64_t columns = MAX((MAX(width_out, tile) - 1) * stride + size, job->width + p);
    const int64_t reach = (size - 1) / stride, columns_out = width_out + 2 * reach + tile + 1;
    const int64_t tap_pitch = size == 7 ? 8 : size; /* of a kernel's row: so that a vector is one line's */
    const int64_t kernel_pitch = (taps + 7) / 8 * 8, line = MAX(MAX(job->width, width_out), tile) + tile * stride;
    const int gives_input = job->pass == GRAD_INPUT;
    const int in_place = kernel->channel == 1 && !half; /* taps lie together, and stay where they are */
    const int64_t rows_in = (rows - 1) * stride + size, rows_out = (rows + size - 2) / stride + 2;

    float *image = workspace(job, groups * pitch * (gives_input ? rows_out * columns_out : rows_in * columns));
    float *pixels = workspace(job, line * pitch);
    float *kernels = workspace(job, line * kernel_pitch);
    float *packed = workspace(job, gives_input ? rows_out * size * columns_out * tap_pitch : 1);
    if (image && pixels && kernels && packed) {
        const int64_t height = gives_input ? job->height : job->height_out;
        for (int64_t task; (task = take(job, job->batches * job->bands)) >= 0;) {
            const int64_t b = task / job->bands, first = task % job->bands * rows, last = MIN(first + rows, height);
            const int64_t in = b * input->batch, out = b * output->batch, of = b * kernel->batch;
            if (gives_input) {
                /* the rows of the output that read these rows */
                const int64_t from = MAX((first + p - size + stride) / stride, 0);
                const int64_t count = MAX(MIN((last - 1 + p) / stride + 1, job->height_out) - from, 0);
                const int64_t kernel_row = columns_out * tap_pitch;
                NAME(gather_image)(image, pitch, output, out, job->height_out, width_out, from, count, reach, columns_out,
                                   groups, channels, job->channels, half);
                for (int64_t g = 0; g < groups; g++) {
                    const float *gradients = image + g * count * columns_out * pitch;
                    for (int64_t i = 0; i < count; i++) {
                        const int64_t kernel_at = of + g * kernel->group + (from + i) * kernel->row;
                        const float *taken = in_place ? (const float *)kernel->data + kernel_at : kernels;
                        if (!in_place)
                            NAME(gather)(kernels, kernel_pitch, kernel->data, kernel_at, kernel->column,
                                         kernel->channel, width_out, taps, kernel->row, half);
                        NAME(by_rows)(packed + i * size * kernel_row + reach * tap_pitch, tap_pitch, kernel_row, taken,
                                      in_place ? kernel->column : kernel_pitch, width_out, size,
                                      in_place ? kernel->row : 0);
                    }
                    for (int64_t r = first; r < last; r++) {
                        /* row i of the output reads row r by the row r + p - i * stride of its taps */
                        const int64_t low = MAX((r + p - size + stride) / stride, 0);
                        const int64_t high = MIN((r + p) / stride + 1, job->height_out);
                        for (int64_t phase = 0; phase < stride && phase < job->width; phase++) {
                            const int64_t v = (phase + p) % stride, j = (phase + p) / stride + reach;
                            const float *k = packed + ((low - from) * size + r + p - low * stride) * kernel_row;
                            NAME(input_row)(pixels + phase * pitch, pitch, k + j * tap_pitch, tap_pitch,
                                            (size - stride) * kernel_row,
                                            gradients + ((low - from) * columns_out + j) * pitch, columns_out * pitch,
                                            (job->width - phase + stride - 1) / stride, size, stride, v,
                                            MAX(high - low, 0));
                        }
                        NAME(scatter)(input->data, in + g * channels * input->channel + r * input->row, input->column,
                                      input->channel, pixels, pitch, job->width, channels, input->row, half);
                    }
                }
                continue;
            }
            const int64_t count = (last - first - 1) * stride + size;
            NAME(gather_image)(image, pitch, input, in, job->height, job->width, first * stride - p, count, p, columns,
                               groups, channels, job->channels, half);
            for (int64_t n = 0; n < groups * (last - first); n++) {
                /* in the order in which they lie in memory */
                const int64_t g = kernel->channel == 1 ? n % groups : n / (last - first);
                const int64_t i = first + (kernel->channel == 1 ? n / groups : n % (last - first));
                {
                    const float *x = image + (g * count + (i - first) * stride) * columns * pitch;
                    const int64_t kernel_at = of + g * kernel->group + i * kernel->row;
                    const int64_t output_at = out + g * channels * output->channel + i * output->row;
                    if (job->pass == FORWARD) {
                        const int64_t top = MAX(p - i * stride, 0), bottom = MIN(size, job->height + p - i * stride);
                        if (!in_place)
                            NAME(gather)(kernels, kernel_pitch, kernel->data, kernel_at, kernel->column,
                                         kernel->channel, width_out, taps, kernel->row, half);
                        NAME(output_row)(pixels, pitch, in_place ? (const float *)kernel->data + kernel_at : kernels,
                                         in_place ? kernel->column : kernel_pitch, x, columns * pitch, width_out, size,
                                         stride, top, bottom, in_place ? kernel->row : 0);
                        NAME(scatter)(output->data, output_at, output->column, output->channel, pixels, pitch, width_out,
                                      channels, output->row, half);
                    } else {
                        NAME(gather)(pixels, pitch, output->data, output_at, output->column, output->channel,
                                     width_out, channels, output->row, half);
                        NAME(kernel_row)(in_place ? (float *)kernel->data + kernel_at : kernels,
                                         in_place ? kernel->column : kernel_pitch, in_place, pixels, pitch, x,
                                         columns * pitch, size, width_out, stride, in_place ? kernel->row : 0);
                        if (!in_place)
                            NAME(scatter)(kernel->data, kernel_at, kernel->column, kernel->channel, kernels, kernel_pitch,
                                          width_out, taps, kernel->row, half);
                    }
                }
            }
        }
    } else __atomic_store_n(&job->failed, 1, __ATOMIC_RELAXED);
    free(image);
    free(pixels);
    free(kernels);
    free(packed);
}
