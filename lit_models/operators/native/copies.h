/* Copies between tensors of any strides and the passes' workspaces, in which a row holds the channels of a pixel. */

#define vf NAME(vf)
typedef float vf __attribute__((vector_size(4 * WIDTH)));

INLINE vf NAME(load)(const float *from) {
    vf value;
    memcpy(&value, from, sizeof value);
    return value;
}

INLINE void NAME(store)(float *to, vf value) { memcpy(to, &value, sizeof value); }

INLINE float NAME(get)(const void *from, int64_t at, int half) {
    return half ? widened(((const uint16_t *)from)[at]) : ((const float *)from)[at];
}

INLINE void NAME(put)(void *to, int64_t at, float value, int half) {
    if (half) ((uint16_t *)to)[at] = narrowed(value);
    else ((float *)to)[at] = value;
}

INLINE void NAME(fetch)(const void *from, int64_t at, int half) {
    __builtin_prefetch((const char *)from + at * (half ? 2 : 4));
}

#if WIDTH >= 8 /* AVX: eight rows of eight numbers, turned into columns */
INLINE __m256 NAME(get8)(const void *from, int64_t at, int half) {
    if (!half) return _mm256_loadu_ps((const float *)from + at);
    __m128i halves = _mm_loadu_si128((const __m128i *)((const uint16_t *)from + at));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

INLINE void NAME(put8)(void *to, int64_t at, __m256 value, int half) {
    if (half) {
        float eight[8];
        _mm256_storeu_ps(eight, value);
        for (int i = 0; i < 8; i++) ((uint16_t *)to)[at + i] = narrowed(eight[i]);
    } else _mm256_storeu_ps((float *)to + at, value);
}

INLINE void NAME(turn)(__m256 r[8]) {
    __m256 t[8], s[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        s[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        s[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        s[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        s[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(s[i], s[i + 4], 0x31);
    }
}
#endif

/* Copy (pixels, channels) to rows of `pitch` floats, of which the rest is left as it is. What lies `ahead`
   will be wanted next: memory answers late, and guesses at such addresses badly. */
INLINE void NAME(gather_)(float *to, int64_t pitch, const void *from, int64_t column, int64_t channel,
                          int64_t pixels, int64_t channels, int64_t ahead, int half) {
    int64_t whole = 0;
    (void)ahead;
#if WIDTH >= 8
    if (channel != 1 && column == 1 && pixels >= 8) { /* the last eight pixels may be those before, again */
        for (int64_t c = 0; c + 8 <= channels; c += 8)
            for (int64_t i = 0; i < pixels; i += 8) {
                int64_t at = MIN(i, pixels - 8);
                __m256 r[8];
                for (int k = 0; k < 8; k++) {
                    r[k] = NAME(get8)(from, (c + k) * channel + at, half);
                    NAME(fetch)(from, (c + k) * channel + at + ahead, half);
                }
                NAME(turn)(r);
                for (int k = 0; k < 8; k++) _mm256_storeu_ps(to + (at + k) * pitch + c, r[k]);
            }
        whole = channels / 8 * 8;
    } else if (channel == 1) {
        for (int64_t i = 0; i < pixels; i++)
            for (int64_t c = 0; c + 8 <= channels; c += 8) {
                _mm256_storeu_ps(to + i * pitch + c, NAME(get8)(from, i * column + c, half));
                NAME(fetch)(from, i * column + c + ahead, half);
            }
        whole = channels / 8 * 8;
    }
#endif
    for (int64_t c = whole; c < channels; c++)
        for (int64_t i = 0; i < pixels; i++) to[i * pitch + c] = NAME(get)(from, i * column + c * channel, half);
}

static void NAME(gather)(float *to, int64_t pitch, const char *data, int64_t at, int64_t column,
                         int64_t channel, int64_t pixels, int64_t channels, int64_t ahead, int half) {
    if (half) NAME(gather_)(to, pitch, data + 2 * at, column, channel, pixels, channels, ahead, 1);
    else NAME(gather_)(to, pitch, data + 4 * at, column, channel, pixels, channels, ahead, 0);
}

/* Copy rows of `pitch` floats to (pixels, channels). */
INLINE void NAME(scatter_)(void *to, int64_t column, int64_t channel, const float *from, int64_t pitch, int64_t pixels,
                           int64_t channels, int64_t ahead, int half) {
    int64_t whole = 0;
    (void)ahead;
#if WIDTH >= 8
    if (channel != 1 && column == 1 && pixels >= 8) {
        for (int64_t c = 0; c + 8 <= channels; c += 8)
            for (int64_t i = 0; i < pixels; i += 8) {
                int64_t at = MIN(i, pixels - 8);
                __m256 r[8];
                for (int k = 0; k < 8; k++) r[k] = _mm256_loadu_ps(from + (at + k) * pitch + c);
                NAME(turn)(r);
                for (int k = 0; k < 8; k++) {
                    NAME(put8)(to, (c + k) * channel + at, r[k], half);
                    NAME(fetch)(to, (c + k) * channel + at + ahead, half);
                }
            }
        whole = channels / 8 * 8;
    } else if (channel == 1) {
        for (int64_t i = 0; i < pixels; i++)
            for (int64_t c = 0; c + 8 <= channels; c += 8) {
                NAME(put8)(to, i * column + c, _mm256_loadu_ps(from + i * pitch + c), half);
                NAME(fetch)(to, i * column + c + ahead, half);
            }
        whole = channels / 8 * 8;
    }
#endif
    for (int64_t c = whole; c < channels; c++)
        for (int64_t i = 0; i < pixels; i++) NAME(put)(to, i * column + c * channel, from[i * pitch + c], half);
}

static void NAME(scatter)(char *data, int64_t at, int64_t column, int64_t channel, const float *from, int64_t pitch,
                          int64_t pixels, int64_t channels, int64_t ahead, int half) {
    if (half) NAME(scatter_)(data + 2 * at, column, channel, from, pitch, pixels, channels, ahead, 1);
    else NAME(scatter_)(data + 4 * at, column, channel, from, pitch, pixels, channels, ahead, 0);
}

/* Copy rows first..first + rows - 1 of an image, which may lie outside it, with zeros left and right of it: one group
   of channels after the other, the last of which may have fewer. */
static void NAME(gather_image)(float *to, int64_t pitch, const Tensor *image, int64_t at, int64_t height, int64_t width,
                               int64_t first, int64_t rows, int64_t left, int64_t columns, int64_t groups,
                               int64_t channels, int64_t total, int half) {
    const int64_t right = columns - left - width;
    for (int64_t n = 0; n < groups * rows; n++) {
        const int64_t g = image->channel == 1 ? n % groups : n / rows, i = image->channel == 1 ? n / groups : n % rows;
        float *row = to + (g * rows + i) * columns * pitch;
        if (first + i < 0 || first + i >= height) {
            memset(row, 0, sizeof(float) * columns * pitch);
            continue;
        }
        memset(row, 0, sizeof(float) * left * pitch);
        NAME(gather)(row + left * pitch, pitch, image->data,
                     at + g * channels * image->channel + (first + i) * image->row, image->column, image->channel, width,
                     MIN(channels, total - g * channels), image->row, half);
        memset(row + (left + width) * pitch, 0, sizeof(float) * right * pitch);
    }
}

/* Sums of eight vectors (of WIDTH 4: of four). */
#define SUMS MIN(WIDTH, 8)
INLINE void NAME(sums)(float *to, const vf v[SUMS]) {
#if WIDTH >= 8
    __m256 h[8];
    for (int i = 0; i < 8; i++) {
#if WIDTH == 16
        h[i] = _mm256_add_ps(_mm512_castps512_ps256((__m512)v[i]), _mm512_extractf32x8_ps((__m512)v[i], 1));
#else
        h[i] = (__m256)v[i];
#endif
    }
    for (int i = 0; i < 4; i++) h[i] = _mm256_hadd_ps(h[2 * i], h[2 * i + 1]);
    h[0] = _mm256_hadd_ps(h[0], h[1]);
    h[1] = _mm256_hadd_ps(h[2], h[3]);
    _mm256_storeu_ps(
        to, _mm256_add_ps(_mm256_permute2f128_ps(h[0], h[1], 0x20), _mm256_permute2f128_ps(h[0], h[1], 0x31)));
#elif defined(__x86_64__)
    __m128 r[4] = {(__m128)v[0], (__m128)v[1], (__m128)v[2], (__m128)v[3]};
    _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
    _mm_storeu_ps(to, _mm_add_ps(_mm_add_ps(r[0], r[2]), _mm_add_ps(r[1], r[3])));
#elif defined(__aarch64__)
    float32x4_t low = vpaddq_f32((float32x4_t)v[0], (float32x4_t)v[1]);
    float32x4_t high = vpaddq_f32((float32x4_t)v[2], (float32x4_t)v[3]);
    vst1q_f32(to, vpaddq_f32(low, high));
#else
    for (int i = 0; i < 4; i++) to[i] = (v[i][0] + v[i][1]) + (v[i][2] + v[i][3]);
#endif
}
