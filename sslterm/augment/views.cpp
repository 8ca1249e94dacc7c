// Views of a batch on a CPU: each image goes through all of its operations while it is in the cache.
//
// The same operations as eager.py, of the same table, to rounding. Floating-point results do not depend on the
// processor, the number of threads or how a batch is cut: contraction to fused multiply-adds is off, sums have a fixed
// order, and every image is computed by one thread. Plain C interface, loaded by native.py with ctypes.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#define RESTRICT __restrict__

namespace {

// A row of the table; the columns that native.py packs, all float64.
struct Row {
    double top, left, tall, wide;  // the crop, in pixels
    double flip, turns, jitter;
    double order[4], factor[4];  // brightness, contrast, saturation, hue
    double grey, sigma, solarize;
    double hole_top, hole_left, hole_tall, hole_wide;
    double noise, noise_seed, sobel;
};

enum Part { BRIGHTNESS, CONTRAST, SATURATION, HUE };

constexpr int64_t PORTION = 16;  // images that a thread takes at a time
struct Shape {
    int64_t c, h, w;
    int64_t plane() const { return h * w; }
    int64_t size() const { return c * h * w; }
};

struct Scratch {
    std::vector<float> image, line, weight, kernel;
    std::vector<int32_t> first, second;
    Scratch(Shape in, Shape s, int64_t radius)
        : image(s.c * std::max(in.h, s.h) * s.w), line(std::max(in.w, s.w) + 2 * radius), weight(s.w),
          kernel(2 * radius + 1), first(s.w), second(s.w) {}
};

inline float clip(float x) { return std::min(std::max(x, 0.0f), 1.0f); }
inline float luma(float r, float g, float b) { return 0.2989f * r + 0.587f * g + 0.114f * b; }
inline float grey(const float* image, Shape s, int64_t i) {
    return s.c == 3 ? luma(image[i], image[i + s.plane()], image[i + 2 * s.plane()]) : image[i];
}

// Where pixel `target` of a stretch of `length` pixels, resized to `size`, comes from.
struct Place {
    int64_t low, high;
    float weight;  // of high
    Place(int64_t target, int64_t length, int64_t size) {
        const float x = std::max(((float)target + 0.5f) * ((float)length / (float)size) - 0.5f, 0.0f);
        low = std::min((int64_t)x, length - 1);
        high = std::min(low + 1, length - 1);
        weight = x - (float)low;
    }
};

// `image` is the image's shape, `s` the view's.
void crop(const float* RESTRICT in, float* RESTRICT out, Shape image, Shape s, const Row& row, Scratch& scratch) {
    const int64_t left = (int64_t)row.left, wide = (int64_t)row.wide;
    int32_t* RESTRICT first = scratch.first.data();
    int32_t* RESTRICT second = scratch.second.data();
    float* RESTRICT weight = scratch.weight.data();
    for (int64_t x = 0; x < s.w; ++x) {
        const Place place(row.flip != 0 ? s.w - 1 - x : x, wide, s.w);
        first[x] = (int32_t)place.low, second[x] = (int32_t)place.high, weight[x] = place.weight;
    }
    float* RESTRICT across = scratch.image.data();  // [tall, w]: the crop, resized along its rows
    const int64_t tall = (int64_t)row.tall;
    for (int64_t c = 0; c < s.c; ++c) {
        const float* RESTRICT plane = in + c * image.plane() + (int64_t)row.top * image.w + left;
        for (int64_t y = 0; y < tall; ++y) {
            float* RESTRICT from = scratch.line.data();  // read in order first: large images come from afar
            for (int64_t x = 0; x < wide; ++x) from[x] = plane[y * image.w + x];
            float* RESTRICT to = across + y * s.w;
            for (int64_t x = 0; x < s.w; ++x) to[x] = from[first[x]] + weight[x] * (from[second[x]] - from[first[x]]);
        }
        for (int64_t y = 0; y < s.h; ++y) {
            const Place place(y, tall, s.h);
            const float* RESTRICT upper = across + place.low * s.w;
            const float* RESTRICT lower = across + place.high * s.w;
            float* RESTRICT to = out + c * s.plane() + y * s.w;
            for (int64_t x = 0; x < s.w; ++x) to[x] = clip(upper[x] + place.weight * (lower[x] - upper[x]));
        }
    }
}

// Counter-clockwise by quarters; the image is square.
void turn(float* RESTRICT image, Shape s, int turns, Scratch& scratch) {
    const int64_t n = s.w;
    std::copy(image, image + s.size(), scratch.image.begin());
    for (int64_t c = 0; c < s.c; ++c) {
        const float* RESTRICT from = scratch.image.data() + c * s.plane();
        float* RESTRICT to = image + c * s.plane();
        for (int64_t y = 0; y < n; ++y)
            for (int64_t x = 0; x < n; ++x) {
                const int64_t back_x = n - 1 - x, back_y = n - 1 - y;
                to[y * n + x] = from[turns == 1 ? x * n + back_y : turns == 2 ? back_y * n + back_x : back_x * n + y];
            }
    }
}

void brightness(float* RESTRICT image, Shape s, float factor) {
    for (int64_t i = 0; i < s.size(); ++i) image[i] = clip(image[i] * factor);
}

void contrast(float* RESTRICT image, Shape s, float factor) {
    constexpr int64_t LANES = 16, BLOCK = 1024;
    const int64_t plane = s.plane();
    double total = 0;
    for (int64_t start = 0; start < plane; start += BLOCK) {
        const int64_t stop = std::min(start + BLOCK, plane);
        float sum[LANES] = {};
        int64_t i = start;
        for (; i + LANES <= stop; i += LANES)
            for (int64_t j = 0; j < LANES; ++j) sum[j] += grey(image, s, i + j);
        for (; i < stop; ++i) sum[i % LANES] += grey(image, s, i);
        for (float lane : sum) total += lane;
    }
    const float rest = (1 - factor) * (float)(total / (double)plane);
    for (int64_t i = 0; i < s.size(); ++i) image[i] = clip(factor * image[i] + rest);
}

void saturation(float* RESTRICT image, Shape s, float factor) {
    float *RESTRICT r = image, *RESTRICT g = image + s.plane(), *RESTRICT b = image + 2 * s.plane();
    for (int64_t i = 0; i < s.plane(); ++i) {
        const float rest = (1 - factor) * luma(r[i], g[i], b[i]);
        r[i] = clip(factor * r[i] + rest), g[i] = clip(factor * g[i] + rest), b[i] = clip(factor * b[i] + rest);
    }
}

// V - C * clamp(2 - 6 * (circular distance from the hue to the one where the channel is lowest), 0, 1): see colour.py.
inline float channel(float value, float chroma, float hue, float lowest) {
    const float away = hue - lowest;
    const float distance = std::fabs(away - std::floor(away + 0.5f));
    return value - chroma * clip(2.0f - 6.0f * distance);
}

void hue(float* RESTRICT image, Shape s, float turns) {
    float *RESTRICT r = image, *RESTRICT g = image + s.plane(), *RESTRICT b = image + 2 * s.plane();
    for (int64_t i = 0; i < s.plane(); ++i) {
        const float red = r[i], green = g[i], blue = b[i];
        const float higher = std::max(green, blue), lower = std::min(green, blue);
        const float value = std::max(red, higher), middle = std::min(red, higher);
        const float chroma = value - std::min(middle, lower);
        const float blue_first = blue > green ? 1.0f : 0.0f;
        const float start = (higher > red ? 2.0f * blue_first - 1.0f / 3.0f : 0.0f) - blue_first;
        const float angle = std::fabs(start + (middle - lower) / std::max(6.0f * chroma, 1.17549435e-38f)) + turns;
        r[i] = channel(value, chroma, angle, 1.0f / 2.0f);
        g[i] = channel(value, chroma, angle, 5.0f / 6.0f);
        b[i] = channel(value, chroma, angle, 1.0f / 6.0f);
    }
}

void jitter(float* image, Shape s, const Row& row) {
    for (double part : row.order) {
        const float factor = (float)row.factor[(int)part];
        if (part == BRIGHTNESS && factor != 1) brightness(image, s, factor);
        if (part == CONTRAST && factor != 1) contrast(image, s, factor);
        if (part == SATURATION && factor != 1 && s.c == 3) saturation(image, s, factor);
        if (part == HUE && factor != 0 && s.c == 3) hue(image, s, factor);
    }
}

void drop_colour(float* RESTRICT image, Shape s) {
    float *RESTRICT r = image, *RESTRICT g = image + s.plane(), *RESTRICT b = image + 2 * s.plane();
    for (int64_t i = 0; i < s.plane(); ++i) r[i] = g[i] = b[i] = luma(r[i], g[i], b[i]);
}

inline int64_t reflect(int64_t i, int64_t n) { return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i; }

void blur(float* RESTRICT image, Shape s, float sigma, int64_t radius, Scratch& scratch) {
    float* RESTRICT kernel = scratch.kernel.data();
    double total = 0;
    for (int64_t k = -radius; k <= radius; ++k) total += std::exp(-0.5 * (double)(k * k) / ((double)sigma * sigma));
    for (int64_t k = -radius; k <= radius; ++k)
        kernel[k + radius] = (float)(std::exp(-0.5 * (double)(k * k) / ((double)sigma * sigma)) / total);
    int64_t reach = radius;  // beyond it, weights cannot be seen
    while (reach > 0 && kernel[radius + reach] < 1e-8f) --reach;
    float* RESTRICT line = scratch.line.data();
    float* RESTRICT rows = scratch.image.data();
    for (int64_t c = 0; c < s.c; ++c) {
        float* RESTRICT plane = image + c * s.plane();
        for (int64_t y = 0; y < s.h; ++y) {
            float* RESTRICT to = rows + y * s.w;
            std::fill(to, to + s.w, 0.0f);
            for (int64_t k = -reach; k <= reach; ++k) {
                const float* RESTRICT from = plane + reflect(y + k, s.h) * s.w;
                const float weight = kernel[radius + k];
                for (int64_t x = 0; x < s.w; ++x) to[x] += weight * from[x];
            }
        }
        for (int64_t y = 0; y < s.h; ++y) {
            float* RESTRICT to = plane + y * s.w;
            for (int64_t x = -reach; x < s.w + reach; ++x) line[x + reach] = rows[y * s.w + reflect(x, s.w)];
            std::fill(to, to + s.w, 0.0f);
            for (int64_t k = -reach; k <= reach; ++k) {
                const float weight = kernel[radius + k];
                for (int64_t x = 0; x < s.w; ++x) to[x] += weight * line[x + k + reach];
            }
            for (int64_t x = 0; x < s.w; ++x) to[x] = clip(to[x]);
        }
    }
}

void solarize(float* RESTRICT image, Shape s) {
    for (int64_t i = 0; i < s.size(); ++i) image[i] = std::min(image[i], 1.0f - image[i]);
}

void cut_hole(float* image, Shape s, const Row& row) {
    for (int64_t c = 0; c < s.c; ++c)
        for (int64_t y = (int64_t)row.hole_top; y < (int64_t)(row.hole_top + row.hole_tall); ++y) {
            float* from = image + c * s.plane() + y * s.w + (int64_t)row.hole_left;
            std::fill(from, from + (int64_t)row.hole_wide, 0.5f);
        }
}

inline uint32_t mix(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    return x ^ (x >> 16);
}

// The numbers of filters.standard_normal.
void noise(float* RESTRICT image, Shape s, float std, uint64_t seed) {
    const uint32_t low = (uint32_t)(seed & 0xFFFFFF) * 0x9E3779B1u, high = (uint32_t)(seed >> 24) * 0x85EBCA77u;
    for (int64_t i = 0; i < s.size(); i += 2) {
        const uint32_t bits = mix(mix((uint32_t)(i / 2) ^ low) ^ high), more = mix(bits ^ 0x68E31DA4u);
        const float radius = std * std::sqrt(-2.0f * std::log((float)((bits >> 8) + 1) * 0x1p-24f));
        const float angle = (float)(more >> 8) * (float)(2 * 3.14159265358979323846 * 0x1p-24);
        image[i] = clip(image[i] + radius * std::cos(angle));
        if (i + 1 < s.size()) image[i + 1] = clip(image[i + 1] + radius * std::sin(angle));
    }
}

void sobel(float* RESTRICT image, Shape s, Scratch& scratch) {
    float* RESTRICT flat = scratch.image.data();
    for (int64_t i = 0; i < s.plane(); ++i) flat[i] = grey(image, s, i);
    for (int64_t y = 0; y < s.h; ++y) {
        const float* a = flat + std::max<int64_t>(y - 1, 0) * s.w;
        const float* m = flat + y * s.w;
        const float* z = flat + std::min(y + 1, s.h - 1) * s.w;
        for (int64_t x = 0; x < s.w; ++x) {
            const int64_t p = std::max<int64_t>(x - 1, 0), q = std::min(x + 1, s.w - 1);
            const float dx = (a[q] + 2 * m[q] + z[q]) - (a[p] + 2 * m[p] + z[p]);
            const float dy = (z[p] + 2 * z[x] + z[q]) - (a[p] + 2 * a[x] + a[q]);
            const float edge = std::min(std::sqrt(dx * dx + dy * dy) / 4, 1.0f);
            for (int64_t c = 0; c < s.c; ++c) image[c * s.plane() + y * s.w + x] = edge;
        }
    }
}

void view(const float* in, float* out, Shape image, Shape s, const Row& row, int64_t radius, Scratch& scratch) {
    crop(in, out, image, s, row, scratch);
    if (row.turns != 0) turn(out, s, (int)row.turns, scratch);
    if (row.jitter != 0) jitter(out, s, row);
    if (row.grey != 0 && s.c == 3) drop_colour(out, s);
    if (row.sigma > 0) blur(out, s, (float)row.sigma, radius, scratch);
    if (row.solarize != 0) solarize(out, s);
    if (row.hole_tall > 0) cut_hole(out, s, row);
    if (row.noise > 0) noise(out, s, (float)row.noise, (uint64_t)row.noise_seed);
    if (row.sobel != 0) sobel(out, s, scratch);
}

}  // namespace

// images [n, c, h, w], out [n, c, view_h, view_w]: float32, contiguous and apart; table: [n] rows. Returns 0, or 1
// where memory ran out.
extern "C" int sslterm_views(const float* images, float* out, const double* table, int64_t n, int64_t c, int64_t h,
                             int64_t w, int64_t view_h, int64_t view_w, int64_t radius, int64_t threads) {
    const Shape image{c, h, w}, s{c, view_h, view_w};
    const Row* rows = reinterpret_cast<const Row*>(table);
    std::atomic<int64_t> next{0};
    std::atomic<int> failed{0};
    auto work = [&] {
        try {
            Scratch scratch(image, s, radius);
            for (int64_t start; (start = next.fetch_add(PORTION)) < n;)
                for (int64_t i = start; i < std::min(start + PORTION, n); ++i)
                    view(images + i * image.size(), out + i * s.size(), image, s, rows[i], radius, scratch);
        } catch (const std::bad_alloc&) {
            failed = 1;
        }
    };
    std::vector<std::thread> helpers;
    try {
        for (int64_t i = 1; i < std::min(threads, (n + PORTION - 1) / PORTION); ++i) helpers.emplace_back(work);
    } catch (const std::system_error&) {
        // no more threads to be had: those that run, and this one, do the work
    }
    work();
    for (std::thread& helper : helpers) helper.join();
    return failed;
}
