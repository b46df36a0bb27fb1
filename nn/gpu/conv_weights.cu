// Weight gradient of a convolution, NHWC.      dw[o,r,s,c] = Σ_nij dy[n,i,j,o] x[n, i·stride_i + r - top, j·stride_j + s - left, c]
//
// A matrix product: dw (O, Q) = dyᵀ (O, P) X (P, Q), over the P = N·I·J pixels of dy; Q = R·S·C columns q = (r,s,c), and row p of X is
// what pixel p sees of x, 0 outside the frame. X is never stored: it would be R·S times x. The result is small and the sum long (at
// 112 x 112, 64 to 64 channels, batch 16: 64 x 576 numbers, 200704 products each), so who adds what is the subject of this ladder.
//
//   direct   one thread a weight walks all pixels. O·Q threads are few, and each FMA reads two numbers from global memory.
//   tile     a block of 16 x 16 threads makes 16 x 16 weights, with 16 pixels of dy and x in shared memory at a time; and the pixels are
//            shared out to several blocks, each of which writes a plane of partial sums; add_planes (gemm.cu) adds the planes in a fixed
//            order. Predicted 10-100x: enough blocks for all multiprocessors, and 16 times fewer global reads.
//   igemm    a thread keeps 8 x 8 sums in registers, as gemm_block does: 16 numbers read from shared memory serve 64 FMAs; and pixels are
//            described once a segment (conv_weights.cuh), where tile divides p by J and I for each number it stages.
//            Predicted 4-8x over tile, for of the main loop's instructions, counted in the machine code for sm_80 and sm_90, 80 % are
//            FFMA with V=1 and 86 % with V=4, where tile has one in six.
//   tf32, tf32x3   the same on tensor cores: conv_weights_mma.cu.
//
// 2·O·Q·P flops. Bytes at best: dy and x once, 4 (P·O + N·H·W·C); with tiles of 64 x 128, dy is read Q/128 times and x R·S·O/64 times,
// mostly from L2; a plane of partial sums costs 8·O·Q more.
// Sizes need not divide: pixels outside a block's share count as zero; o and q beyond the end are computed from the last one and dropped.
#include "conv_weights.cuh"

extern "C" __global__ void weights_direct(
    const float* __restrict__ dy, const float* __restrict__ x, float* __restrict__ dw,
    int N, int H, int W, int C, int I, int J, int O, int R, int S, int stride_i, int stride_j, int top, int left)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= O * R * S * C) return;

    const int c = at % C, s = at / C % S, r = at / C / S % R, o = at / C / S / R;
    float sum = 0.f;
    for (int n = 0; n < N; n++)
        for (int i = 0; i < I; i++) {
            const int h = i * stride_i + r - top;
            if (h < 0 || h >= H) continue;
            for (int j = 0; j < J; j++) {
                const int w = j * stride_j + s - left;
                if (w < 0 || w >= W) continue;
                sum += dy[((n * I + i) * J + j) * O + o] * x[((n * H + h) * W + w) * C + c];
            }
        }
    dw[at] = sum;
}

#define TILE 16

// Block (x, y, z) makes tile (y, x) of dw from the z-th share of the pixels, and writes it into plane z.
extern "C" __global__ void __launch_bounds__(256) weights_tile(
    const float* __restrict__ dy, const float* __restrict__ x, float* __restrict__ planes,
    int N, int H, int W, int C, int I, int J, int O, int R, int S, int stride_i, int stride_j, int top, int left, int share)
{
    __shared__ float ds[TILE][TILE], xs[TILE][TILE];             // [pixel][o] and [pixel][q]
    const int Q = R * S * C;
    const int o0 = blockIdx.y * TILE, q0 = blockIdx.x * TILE;
    const int fast = threadIdx.x % TILE, slow = threadIdx.x / TILE;
    const int first = blockIdx.z * share, last = min(first + share, N * I * J);

    const int q = q0 + fast;                                     // the column this thread stages and computes
    const int c = q % C, s = q / C % S, r = q / C / S;
    float sum = 0.f;
    for (int p0 = first; p0 < last; p0 += TILE) {
        const int p = p0 + slow;                                 // the pixel it stages
        const int h = p / J % I * stride_i + r - top, w = p % J * stride_j + s - left, n = p / J / I;
        const bool inside = p < last && q < Q && h >= 0 && h < H && w >= 0 && w < W;
        xs[slow][fast] = inside ? x[((n * H + h) * W + w) * C + c] : 0.f;
        ds[slow][fast] = p < last && o0 + fast < O ? dy[p * O + o0 + fast] : 0.f;
        __syncthreads();     // the tiles are whole before anyone reads them
        for (int k = 0; k < TILE; k++)
            sum += ds[k][slow] * xs[k][fast];
        __syncthreads();     // all have read them before the next ones come
    }
    const int o = o0 + slow;
    if (o < O && q < Q) planes[((long long)blockIdx.z * O + o) * Q + q] = sum;
}

#ifndef V
#define V 1                          // numbers a thread loads at once: 4 where C and O divide by 4, so that four neighbours share a tap
#endif
#if V == 4
#define VECTOR float4
#else
#define VECTOR float
#endif
#define ROWS 64                      // of dw (o) that a block makes
#define COLUMNS 128                  // of dw (q)
#define DEPTH 8                      // pixels a step
#define THREADS 128                  // 8 down, 16 across
#define BUFFER (DEPTH * (ROWS + COLUMNS))        // floats of one step: dy, then x
#define D_STEP (THREADS * V / ROWS)  // while staging, the threads cover so many pixels of dy at a time, and of x
#define X_STEP (THREADS * V / COLUMNS)

// The tiles, shares and planes are weights_tile's.
extern "C" __global__ void __launch_bounds__(THREADS) weights_igemm(
    const float* __restrict__ dy, const float* __restrict__ x, float* __restrict__ planes,
    int N, int H, int W, int C, int I, int J, int O, int R, int S, int stride_i, int stride_j, int top, int left, int share)
{
    __shared__ __align__(16) float buffers[2 * BUFFER];
    __shared__ __align__(16) Place ring[2 * SEGMENT];
    const Shape shape = {H, W, C, I, J, R, S, stride_i, stride_j, top, left};
    const int t = threadIdx.x, Q = R * S * C;
    const int o0 = blockIdx.y * ROWS, q0 = blockIdx.x * COLUMNS;
    const int first = blockIdx.z * share, last = min(first + share, N * I * J);
    const int start = first + (last - first - 1) % DEPTH + 1 - DEPTH;      // the step that may be short comes first: see gemm_block

    // What this thread stages: V columns of x and V of dy; of dy every D_STEP-th pixel, of x neighbouring pixels.
    const int xq = t % (COLUMNS / V) * V, xp = t / (COLUMNS / V) * (DEPTH / X_STEP);
    const int q = min(q0 + xq, Q - V);
    const int c = q % C, s = q / C % S, r = q / C / S;
    const int x_at = (r * W + s) * C + c;                        // from a pixel's place on
    const unsigned tap = 1u << (r * S + s);
    const int o = t % (ROWS / V) * V, dp = t / (ROWS / V);
    const float* from_dy = dy + ((long long)start + dp) * O + min(o0 + o, O - V);
    VECTOR next_d[DEPTH / D_STEP], next_x[DEPTH / X_STEP];

    const auto fetch = [&](int at, bool may_be_short) {          // global memory -> registers: the step `at` pixels behind start
        #pragma unroll
        for (int e = 0; e < DEPTH / D_STEP; e++, from_dy += D_STEP * O)
            next_d[e] = may_be_short && start + dp + e * D_STEP < first ? VECTOR{} : *(const VECTOR*)from_dy;
        const Place* places = &ring[in_ring(at) / DEPTH * DEPTH + xp];     // no change, but now it is plain that two make 16 aligned bytes
        #pragma unroll
        for (int e = 0; e < DEPTH / X_STEP; e++) {
            const Place place = places[e];
            next_x[e] = place.inside & tap ? *(const VECTOR*)(x + (place.at + x_at)) : VECTOR{};
        }
    };
    const auto stage = [&](float* buffer) {                      // registers -> shared memory
        #pragma unroll
        for (int e = 0; e < DEPTH / D_STEP; e++)
            *(VECTOR*)(buffer + (dp + e * D_STEP) * ROWS + o) = next_d[e];
        #pragma unroll
        for (int e = 0; e < DEPTH / X_STEP; e++)
            *(VECTOR*)(buffer + DEPTH * ROWS + (xp + e) * COLUMNS + xq) = next_x[e];
    };

    // What it computes: o = down..down+3 and 32 further, q = across..across+3 and 64 further.
    const int down = t / 16 * 4, across = t % 16 * 4;
    float sum[8][8] = {};
    describe(ring, start, start, first, last, shape);
    __syncthreads();     // the places are known before anyone looks them up
    fetch(0, true);
    stage(buffers);
    __syncthreads();     // the first tiles are whole before anyone reads them
    int now = 0;                                                 // where the buffer that is read begins; the other is written
    int next = DEPTH;                                            // the step to fetch
    int ahead = last - start;                                    // pixels to multiply. To count them down takes the fewest instructions
    for (int from = start; ahead > 0; from += SEGMENT) {
        describe(ring, start, from + SEGMENT, first, last, shape);      // looked up after many a barrier, in the last step of this segment
        const int end = max(ahead - SEGMENT, 0);                 // of this segment
        do {
            if (ahead > DEPTH) fetch(next, false);
            next += DEPTH;
            const float* ds = buffers + now + down;
            const float* xs = buffers + now + DEPTH * ROWS + across;
            #pragma unroll
            for (int k = 0; k < DEPTH; k++) {
                float4 rd[2], rx[2];
                rd[0] = *(const float4*)(ds + k * ROWS);
                rd[1] = *(const float4*)(ds + k * ROWS + ROWS / 2);
                rx[0] = *(const float4*)(xs + k * COLUMNS);
                rx[1] = *(const float4*)(xs + k * COLUMNS + COLUMNS / 2);
                #pragma unroll
                for (int i = 0; i < 8; i++)
                    #pragma unroll
                    for (int j = 0; j < 8; j++)
                        sum[i][j] += ((const float*)rd)[i] * ((const float*)rx)[j];
            }
            now = BUFFER - now;
            stage(buffers + now);
            __syncthreads();     // the next tiles are whole before anyone reads them, and all have read these before they are written over
            ahead -= DEPTH;
        } while (ahead > end);
    }

    #pragma unroll
    for (int i = 0; i < 8; i++)
        #pragma unroll
        for (int j = 0; j < 8; j++) {
            const int row = o0 + i / 4 * (ROWS / 2) + down + i % 4;
            const int column = q0 + j / 4 * (COLUMNS / 2) + across + j % 4;
            if (row < O && column < Q) planes[((long long)blockIdx.z * O + row) * Q + column] = sum[i][j];
        }
}
