// Convolution on the tensor cores: the last rungs ("tf32", "tf32x3") of the ladder in conv_direct.cu; compute capability 8.0 and later.
//
//     y[p,o] = b[o] + Σ_(r,s) Σ_c x[p shifted by (r-1, s-1), c] · w[o,r,s,c]          3 x 3, stride 1, 'same'; p counts N·H·W pixels
//
//   As in conv_igemm.cu this is a product of matrices whose left one is never written down: (pixels) x (r,s,c) by (r,s,c) x (filters).
//   A block makes 128 pixels by FILTERS channels of y, in steps of one tap and a slice of 32 channels. What changes:
//
//   mma.sync       a warp multiplies 16 x 8 by 8 x 8 numbers in one instruction: 1024 multiply-adds, where FFMA makes 32. In TF32 an
//                  A100's tensor cores make 8 times as many as its FFMA units. The rest of this file is about feeding them.
//   64 x 32 a warp 16 tiles: for 16 mma six ldmatrix. With 32 x 32 it would be 4 for 8, and twice the roundings.
//   cp.async       global to shared memory with no registers between, three buffers deep: two steps are on their way while one is used.
//   ldmatrix       one instruction brings four 8 x 4 blocks into exactly the registers where mma wants them.
//   XOR swizzle    a row of 32 floats fills all 32 banks, so chunk k (4 floats) of every row lies in the same 4 banks. Row r keeps it at
//                  place k ^ (r % 8) instead: 8 rows' chunks k lie in 32 different banks, and nothing is spent on padding.
//
//   Exactness. TF32 keeps 10 of the 23 bits of a mantissa; the sums are fp32.
//   TERMS=1 ("tf32")    the factors are rounded on their way from ldmatrix to mma (tf32.cuh): results are off by about 3e-4 in norm.
//   TERMS=3 ("tf32x3")  each factor is cut in two, a = A + α, A in TF32 and α the bits below. Of a·b = AB + Aβ + αB + αβ the last is
//                       left out, 2^-20 of ab at the most. The small products are added first. And the sum of every 8 channels starts
//                       at 0 and then goes to y's sum by an ordinary FADD: a tensor core cuts sums off where FADD rounds them (Ootomo
//                       and Yokota, 2022). Thousands of cuts, all towards zero, add up: 1.4e-5 of the result for 4608 products, worked
//                       out in NumPy, against 4e-7 this way. Three times the products, and fp32's accuracy.
//                       An infinite factor gives NaN: there is an ∞ - ∞ in its halves.
//
//   Counted in the machine code for sm_80 and sm_90: 117 to 128 registers, nothing spilled; of the main loop's instructions 22 % are
//   HMMA for one term, 26 % for three. A core is busy for several instructions with each, so that the others fit between them.
//   Bytes and flops, N = 16, 56 x 56, C = O = 128: 14.8 GFLOP over 51 MB of x and y: bound by arithmetic. A step takes 128 · (128 +
//   FILTERS) bytes out of the L2 cache for 8192 · FILTERS flops: 32 flops a byte at FILTERS = 128, 21 at 64.
//   Predicted on an A100: tf32 4 to 5 times conv_igemm.cu, where shared memory's pace is the bound; tf32x3 2 to 2.5 times.
//
// Sizes: C a multiple of 4 (a copy is 16 bytes). Slices beyond C, filters beyond O and pixels under the border or beyond N·H·W are zeros
// in shared memory, put there by cp.async; nothing is written beyond O or N·H·W. Shared memory: 96 KB at FILTERS = 128, 72 KB at 64.
#include "ptx.cuh"
#include "tf32.cuh"

#define PIXELS 128
#define THREADS (2 * FILTERS)            // a warp makes 64 pixels x 32 channels: FILTERS / 32 warps across, 2 down
#define SLICE 32                         // channels of a step: 8 chunks of 16 bytes
#define STAGES 3
#define LINES (THREADS / 8)              // rows of a buffer that the block copies at once, 8 threads a row

// Where chunk k of a row lies, in floats.
__device__ __forceinline__ int place(int row, int k)
{
    return row * SLICE + (k ^ row % 8) * 4;
}

__device__ __forceinline__ float finished(float sum, const float* b, int o, int relu)
{
    const float v = b ? sum + b[o] : sum;
    return relu && v <= 0 ? 0 : v;       // a NaN is not <= 0: it stays, and is seen
}

extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS) conv_tensor(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b, float* __restrict__ y,
    int N, int H, int W, int C, int O, int relu)
{
    extern __shared__ __align__(16) float memory[];            // (STAGES, PIXELS + FILTERS, SLICE): rows of x, then rows of w

    const int t = threadIdx.x, lane = t % 32, warp = t / 32;
    const int P = N * H * W;
    const int p0 = blockIdx.x * PIXELS, o0 = blockIdx.y * FILTERS;
    const int warp_p = warp % 2 * 64, warp_o = warp / 2 * 32;

    // What this thread copies in each step: chunk t % 8 of the rows t / 8, t / 8 + LINES, ... of the pixels and of the filters.
    // LINES is a multiple of 8, so all of them have one swizzle.
    const int chunk = t % 8, row = t / 8, lane_to = place(row, chunk);
    unsigned taps[(PIXELS / LINES + 2) / 3] = {};              // 9 bits a row, 3 rows: the pixel under tap 3r + s is inside the map
    #pragma unroll
    for (int i = 0; i < PIXELS / LINES; i++) {
        const int p = p0 + row + i * LINES;
        const int h = p / W % H, v = p % W;                    // row and column of the map
        #pragma unroll
        for (int tap = 0; tap < 9; tap++) {
            const int from_h = h + tap / 3 - 1, from_v = v + tap % 3 - 1;
            const bool inside = p < P && from_h >= 0 && from_h < H && from_v >= 0 && from_v < W;
            taps[i / 3] |= (unsigned)inside << (tap + i % 3 * 9);
        }
    }

    int tap = 0, c0 = 0;                                       // of the next step to copy
    auto copy = [&](int stage) {
        float* const to = memory + stage * (PIXELS + FILTERS) * SLICE + lane_to;
        const bool there = c0 + chunk * 4 < C;                 // not in the ragged end of the last slice
        const float* from_x = x + (p0 + row + (tap / 3 - 1) * W + tap % 3 - 1) * C + c0 + chunk * 4;
        const float* from_w = w + ((o0 + row) * 9 + tap) * C + c0 + chunk * 4;
        #pragma unroll
        for (int i = 0; i < PIXELS / LINES; i++)
            cp_async16(to + i * LINES * SLICE, from_x + i * LINES * C, there && taps[i / 3] >> (tap + i % 3 * 9) & 1);
        #pragma unroll
        for (int i = 0; i < FILTERS / LINES; i++)
            cp_async16(to + (PIXELS + i * LINES) * SLICE, from_w + i * LINES * 9 * C, there && o0 + row + i * LINES < O);
        c0 += SLICE;
        if (c0 >= C) {
            c0 = 0;
            tap++;
        }
    };

    // The rows that this lane names to ldmatrix. Their row % 8 is lane % 8 in every tile, so that further chunks are one XOR away.
    const int lane_x = place(warp_p + lane % 16, lane / 16);
    const int lane_w = place(PIXELS + warp_o + lane / 16 * 8 + lane % 8, lane / 8 % 2);

    float sum[4][4][4] = {};                                   // 16 x 8 tiles of y, as mma spreads them over the lanes
    const int steps = 9 * ((C + SLICE - 1) / SLICE);
    #pragma unroll
    for (int step = 0; step < STAGES - 1; step++) {
        copy(step);                                            // there are 9 steps at the least
        cp_async_commit();
    }
    int stage = 0, next = STAGES - 1;
    for (int step = 0; step < steps; step++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();                                       // everybody's copies for this step have arrived; the last step's are used up
        if (step + STAGES - 1 < steps) copy(next);             // into the buffer of the last step
        cp_async_commit();                                     // an empty group too, so that the count of groups fits

        #pragma unroll (4 / TERMS)                             // with three terms a round fills all registers: no unrolling
        for (int k = 0; k < SLICE / 4; k += 2) {               // 8 channels, chunks k and k + 1
            unsigned fb[4][2];
            #pragma unroll
            for (int j = 0; j < 4; j += 2) {                   // 16 filters at a time
                unsigned four[4];
                ldmatrix_x4(four, &memory[(stage * (PIXELS + FILTERS) * SLICE + lane_w ^ k * 4) + j * 8 * SLICE]);
                fb[j][0] = four[0];
                fb[j][1] = four[1];
                fb[j + 1][0] = four[2];
                fb[j + 1][1] = four[3];
            }
#if TERMS == 1
            #pragma unroll
            for (int j = 0; j < 4; j++) {
                to_nearest(fb[j][0]);
                to_nearest(fb[j][1]);
            }
#else
            unsigned rest_b[4][2];
            #pragma unroll
            for (int j = 0; j < 4; j++) {
                split(fb[j][0], rest_b[j][0]);
                split(fb[j][1], rest_b[j][1]);
            }
#endif
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                unsigned fa[4];
                ldmatrix_x4(fa, &memory[(stage * (PIXELS + FILTERS) * SLICE + lane_x ^ k * 4) + i * 16 * SLICE]);
#if TERMS == 1
                #pragma unroll
                for (int e = 0; e < 4; e++) to_nearest(fa[e]);
                #pragma unroll
                for (int j = 0; j < 4; j++) mma_tf32(sum[i][j], fa, fb[j]);
#else
                unsigned rest_a[4];
                #pragma unroll
                for (int e = 0; e < 4; e++) split(fa[e], rest_a[e]);
                #pragma unroll
                for (int j = 0; j < 4; j++) {
                    float part[4] = {};
                    mma_tf32(part, rest_a, fb[j]);
                    mma_tf32(part, fa, rest_b[j]);
                    mma_tf32(part, fa, fb[j]);
                    #pragma unroll
                    for (int e = 0; e < 4; e++) sum[i][j][e] += part[e];
                }
#endif
            }
        }
        stage = stage + 1 == STAGES ? 0 : stage + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }

    // Of each tile a lane holds rows lane / 4 and 8 below, and in them two neighbouring channels: 8 bytes, aligned where O is even.
    // Where they lie is worked out anew: the main loop has no register to keep it in.
    #pragma unroll
    for (int i = 0; i < 4; i++)
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            const int p = blockIdx.x * PIXELS + threadIdx.x / 32 % 2 * 64 + i * 16 + half * 8 + threadIdx.x % 32 / 4;
            if (p >= P) continue;
            #pragma unroll
            for (int j = 0; j < 4; j++) {
                const int o = blockIdx.y * FILTERS + threadIdx.x / 64 * 32 + j * 8 + threadIdx.x % 4 * 2;
                const float first = sum[i][j][half * 2], second = sum[i][j][half * 2 + 1];
                float* const at = y + p * O + o;
                if (O % 2 == 0) {
                    if (o < O) *(float2*)at = make_float2(finished(first, b, o, relu), finished(second, b, o + 1, relu));
                } else {
                    if (o < O) at[0] = finished(first, b, o, relu);
                    if (o + 1 < O) at[1] = finished(second, b, o + 1, relu);
                }
            }
        }
}
