// Weight gradient of a convolution on tensor cores (sm_80 and later); the equation, the names and the slower rungs: conv_weights.cu.
//
//   tf32     factors rounded to 10 bits of mantissa, sums in fp32. Predicted 3-5x over igemm: an HMMA does the work of 32 FFMAs.
//   tf32x3   -D X3=1: a number is big + rest, each a TF32: d x = d_rest x_big + d_big x_rest + d_big x_big + (too small to see).
//            As exact as fp32, for three times the HMMAs. Predicted 1.3-2x over igemm.
//
// Both factors lie in memory as rows of channels, one row a pixel: the side that is summed over runs down the rows. ldmatrix cannot
// help, for it transposes 16-bit numbers only, so fragments are read with plain loads. Rows have 72 and 136 floats, 8 modulo the 32
// banks: lanes with pixel k = 0..3 and group g = 0..7 read 8k + g, 32 different banks. Of dy two neighbours come at once: which o
// stands in which row of a fragment is free, so rows g and g + 8 are o = 2g and 2g + 1. Of x four, by the same freedom: the columns g
// of four fragments are q = 4g..4g+3. But with X3 one, and q = g: a core wants pixels k and k + 4 in two neighbouring registers, and
// d_big and x_big are the loaded numbers themselves (it ignores their low bits), so loads of four would cost a move for each.
//
// Copies from global to shared memory are asynchronous (cp.async), into the buffers of the next step while this one is multiplied; taps
// outside the frame are filled with zeros by the copy itself. C and O divide by 4, so that 16 bytes belong to one tap.
// 57 KB of shared memory and at most 128 registers: four blocks a multiprocessor of an H100, two of an A100.
//
// Counted in the machine code for sm_80 and sm_90: at most 128 registers, nothing spilled; of the main loop's instructions 22 % are HMMA,
// 25 % with X3. A third of the loop without X3 rounds the factors (tf32.cuh).
#include "conv_weights.cuh"
#include "ptx.cuh"
#include "tf32.cuh"

#ifndef X3
#define X3 0
#endif
#if X3
#define V 1                          // neighbours of x that a lane reads at once from shared memory
#define VECTOR float
#else
#define V 4
#define VECTOR float4
#endif
#define ROWS 64                      // of dw (o) that a block makes
#define COLUMNS 128                  // of dw (q)
#define DEPTH 32                     // pixels a step
#define D_PITCH (ROWS + 8)
#define X_PITCH (COLUMNS + 8)
#define BUFFER (DEPTH * (D_PITCH + X_PITCH))     // floats of one step: dy, then x
#define THREADS 128                  // 2 x 2 warps, each 32 x 64 of dw

// A number as a factor of TF32; where the rest counts too (X3), cut off, and what that leaves of it.
__device__ __forceinline__ void convert(float x, unsigned& factor, unsigned& rest)
{
    factor = __float_as_uint(x);
#if X3
    split(factor, rest);
#else
    to_nearest(factor);
#endif
}

// sum += d x over eight pixels, for one fragment of 16 o by 8 q.
__device__ __forceinline__ void add_product(
    float (&sum)[4], const unsigned (&d)[4], const unsigned (&d_rest)[4], const unsigned (&x)[2], const unsigned (&x_rest)[2])
{
#if X3
    float product[4] = {};           // of its own: a tensor core cuts off the low bits of the sums it adds to, and they add up
    mma_tf32(product, d_rest, x);
    mma_tf32(product, d, x_rest);
    mma_tf32(product, d, x);
    #pragma unroll
    for (int e = 0; e < 4; e++)
        sum[e] += product[e];
#else
    mma_tf32(sum, d, x);
#endif
}

// Block (x, y, z) makes tile (y, x) of dw from the z-th share of the pixels, and writes it into plane z.
extern "C" __global__ void __launch_bounds__(THREADS, 4) weights_mma(
    const float* __restrict__ dy, const float* __restrict__ x, float* __restrict__ planes,
    int N, int H, int W, int C, int I, int J, int O, int R, int S, int stride_i, int stride_j, int top, int left, int share)
{
    extern __shared__ __align__(16) float buffers[];             // two of BUFFER floats
    __shared__ Place ring[2 * SEGMENT];
    const Shape shape = {H, W, C, I, J, R, S, stride_i, stride_j, top, left};
    const int Q = R * S * C;
    const unsigned t = threadIdx.x;
    const int o0 = blockIdx.y * ROWS, q0 = blockIdx.x * COLUMNS;
    const int first = blockIdx.z * share, last = min(first + share, N * I * J);

    // What this thread copies, 16 bytes at a time: o..o+3 of every 8th pixel of dy, q..q+3 of every 4th pixel of x.
    const int copy_o = t % (ROWS / 4) * 4, copy_dp = t / (ROWS / 4);
    const int copy_q = t % (COLUMNS / 4) * 4, copy_xp = t / (COLUMNS / 4);
    const int q = q0 + copy_q, c = q % C, s = q / C % S, r = q / C / S;
    const unsigned tap = q < Q ? 1u << (r * S + s) : 0;          // no tap: zeros
    const int x_at = (r * W + s) * C + c;                        // from a pixel's place on
    const int d_end = o0 + copy_o < O ? last - copy_dp : first;  // of the pixels that it copies
    const int d_at = copy_dp * O + o0 + copy_o;                  // from its first row on
    const int to_d = copy_dp * D_PITCH + copy_o, to_x = DEPTH * D_PITCH + copy_xp * X_PITCH + copy_q;

    // Start the copies of the pixels p0..p0+31.
    const auto copy = [&](float* buffer, int p0) {
        #pragma unroll
        for (int e = 0; e < DEPTH; e += 8)
            cp_async16(buffer + to_d + e * D_PITCH, dy + ((p0 + e) * O + d_at), p0 + e < d_end);
        const Place* places = &ring[in_ring(p0 - first) + copy_xp];
        #pragma unroll (X3 ? 1 : 2)                              // few addresses at a time: 128 registers are short for X3
        for (int e0 = 0; e0 < DEPTH; e0 += 16) {
            Place place[4];
            #pragma unroll
            for (int e = 0; e < 4; e++)
                place[e] = places[e0 + 4 * e];
            #pragma unroll
            for (int e = 0; e < 4; e++)
                cp_async16(buffer + to_x + (e0 + 4 * e) * X_PITCH, x + (place[e].at + x_at), place[e].inside & tap);
        }
        cp_async_commit();
    };

    // What it computes: its warp makes rows down..down+31 and columns across..across+63, as 2 x 8 fragments of 16 x 8.
    const int lane = t % 32, g = lane / 4, k = lane % 4;         // the group, and the pixel (k and k + 4) of 8
    const int down = t / 32 % 2 * 32, across = t / 64 * 64;
    const int at_d = k * D_PITCH + down + 2 * g, at_x = DEPTH * D_PITCH + k * X_PITCH + across + V * g;
    float sum[2][8][4] = {};

    describe(ring, first, first, first, last, shape);
    __syncthreads();     // the places are known before anyone looks them up
    copy(buffers, first);
    int now = 0;                                                 // where the buffer that is read begins; the other is written
    for (int from = first; from < last; from += SEGMENT) {
        describe(ring, first, from + SEGMENT, first, last, shape);      // looked up after many a barrier, in the last step of this segment
        const int to = min(from + SEGMENT, last);
        for (int p0 = from; p0 < to; p0 += DEPTH) {
            cp_async_wait<0>();
            __syncthreads();     // everybody's copies are there, and all have read the other buffer before it is written over
            if (p0 + DEPTH < last) copy(buffers + BUFFER - now, p0 + DEPTH);
            const float* ds = buffers + now + at_d;
            const float* xs = buffers + now + at_x;
            #pragma unroll (X3 ? 1 : 4)
            for (int k0 = 0; k0 < DEPTH; k0 += 8) {
                unsigned d[2][4], d_rest[2][4];
                #pragma unroll
                for (int i = 0; i < 2; i++)
                    #pragma unroll
                    for (int e = 0; e < 4; e += 2) {             // pixels k and k + 4
                        const float2 pair = *(const float2*)(ds + (k0 + 2 * e) * D_PITCH + 16 * i);
                        convert(pair.x, d[i][e], d_rest[i][e]);
                        convert(pair.y, d[i][e + 1], d_rest[i][e + 1]);
                    }
                #pragma unroll
                for (int j = 0; j < 8; j += V) {
                    VECTOR loaded[2];                            // pixels k and k + 4, V columns each
                    #pragma unroll
                    for (int e = 0; e < 2; e++)
                        loaded[e] = *(const VECTOR*)(xs + (k0 + 4 * e) * X_PITCH + 8 * j);
                    #pragma unroll
                    for (int v = 0; v < V; v++) {
                        unsigned seen[2], seen_rest[2];
                        #pragma unroll
                        for (int e = 0; e < 2; e++)
                            convert(((const float*)&loaded[e])[v], seen[e], seen_rest[e]);
                        #pragma unroll
                        for (int i = 0; i < 2; i++)
                            add_product(sum[i][j + v], d[i], d_rest[i], seen, seen_rest);
                    }
                }
            }
            now = BUFFER - now;
        }
    }

    #pragma unroll
    for (int i = 0; i < 2; i++)
        #pragma unroll
        for (int half = 0; half < 2; half++)
            #pragma unroll
            for (int j = 0; j < 8; j += V)
                #pragma unroll
                for (int n = 0; n < 2 * V; n += 2) {             // of 2 V neighbours: V fragments' column 2k, then their column 2k + 1
                    const int o = o0 + down + 16 * i + 2 * g + half;
                    const int column = q0 + across + 8 * j + 2 * V * k + n;      // and the next one
                    const float2 pair = make_float2(sum[i][j + n % V][2 * half + n / V], sum[i][j + (n + 1) % V][2 * half + (n + 1) / V]);
                    if (o < O && column < Q) *(float2*)&planes[((long long)blockIdx.z * O + o) * Q + column] = pair;
                }
}
