// Matrix product.          C[m,n] = Σ_k A[m,k] B[k,n] + bias[n]          A (M, K)   B (K, N)   C (M, N), row-major
//
//   -D TA=1: A lies transposed in memory, as (K, M);   -D TB=1: B as (N, K).
//
//   naive   one thread an element of C: for each product it reads two numbers, so memory's pace is the bound: 4 bytes a flop.
//   tile    a block of 16 x 16 threads stages 16 x 16 tiles of A and B in shared memory, where each number serves 16 threads.
//           Predicted 3-5x: global reads fall by 16, but each FMA still reads two numbers from shared memory.
//   block   a thread keeps 8 x 8 sums in registers: 16 numbers read from shared memory, as four float4, serve 64 FMAs. The next tiles
//           travel from global memory to registers while this one is multiplied, and into a second pair of buffers: one barrier a step.
//           Predicted 3-6x over tile: more than 80 % of the loop's instructions are FMAs, where tile has one in three.
//           Where C has few tiles, the sum over k is shared out to several blocks ("split-K"): each writes a plane of partial
//           sums, and add_planes adds them in a fixed order, so that the bits never depend on which block came first.
//           Predicted up to 60x where C is one or two tiles: else one or two of 132 multiprocessors would work.
//
// 2MNK flops; at best A, B and C move once: 4 (MK + KN + MN) bytes, and a plane of partial sums costs 8MN more.
// Sizes need not divide: numbers beyond K count as zero; rows and columns beyond M and N are computed from the last one and dropped.
#ifndef TA
#define TA 0
#endif
#ifndef TB
#define TB 0
#endif
#define A_AT(m, k) a[TA ? (k) * M + (m) : (m) * K + (k)]
#define B_AT(k, n) b[TB ? (n) * K + (k) : (k) * N + (n)]

extern "C" __global__ void gemm_naive(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c, int M, int N, int K)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= M * N) return;

    const int m = at / N, n = at % N;
    float sum = bias ? bias[n] : 0.f;
    for (int k = 0; k < K; k++)
        sum += A_AT(m, k) * B_AT(k, n);
    c[at] = sum;
}

#define TILE 16

extern "C" __global__ void __launch_bounds__(256) gemm_tile(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ c, int M, int N, int K)
{
    __shared__ float as[TILE][TILE + 1], bs[TILE][TILE + 1];     // [m][k] and [k][n]; the odd pitch keeps columns in different banks
    const int tiles = (N + TILE - 1) / TILE;                     // of a row of C
    const int m0 = blockIdx.x / tiles * TILE, n0 = blockIdx.x % tiles * TILE;
    const int fast = threadIdx.x % TILE, slow = threadIdx.x / TILE;
    const int am = TA ? fast : slow, ak = TA ? slow : fast;      // what this thread stages: `fast` runs along memory
    const int bk = TB ? fast : slow, bn = TB ? slow : fast;
    const int m = m0 + slow, n = n0 + fast;                      // what it computes

    float sum = 0.f;
    for (int k0 = 0; k0 < K; k0 += TILE) {
        as[am][ak] = m0 + am < M && k0 + ak < K ? A_AT(m0 + am, k0 + ak) : 0.f;
        bs[bk][bn] = k0 + bk < K && n0 + bn < N ? B_AT(k0 + bk, n0 + bn) : 0.f;
        __syncthreads();     // the tiles are whole before anyone reads them
        for (int k = 0; k < TILE; k++)
            sum += as[slow][k] * bs[k][fast];
        __syncthreads();     // all have read them before the next ones come
    }
    if (m < M && n < N) c[m * N + n] = sum + (bias ? bias[n] : 0.f);
}

#define ROWS 64                      // of C that a block makes
#define COLUMNS 128
#define DEPTH 8                      // of k a step
#define THREADS 128                  // 8 down, 16 across
#define A_EACH (ROWS * DEPTH / THREADS)     // numbers of A that a thread stages a step
#define B_EACH (COLUMNS * DEPTH / THREADS)

// Block (x, y) makes tile x of C from the y-th share of k, and writes it into plane y.
extern "C" __global__ void __launch_bounds__(THREADS) gemm_block(
    const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ bias, float* __restrict__ planes,
    int M, int N, int K, int share)
{
    __shared__ __align__(16) float as[2][DEPTH][ROWS + 4], bs[2][DEPTH][COLUMNS + 4];      // 4 more: columns stored without conflicts
    const int t = threadIdx.x;
    const int tiles = (N + COLUMNS - 1) / COLUMNS;                                         // of a row of C
    const int m0 = blockIdx.x / tiles * ROWS, n0 = blockIdx.x % tiles * COLUMNS;
    const int first = blockIdx.y * share, last = min(first + share, K);
    const int rest = (last - first - 1) % DEPTH + 1;             // the step that may be short comes first, so the loop needs no guard

    // What this thread stages: neighbouring threads lie side by side in memory, along k or along the other side.
    const int am = TA ? t % ROWS : t / DEPTH, ak = TA ? t / ROWS : t % DEPTH;
    const int bn = TB ? t / DEPTH : t % COLUMNS, bk = TB ? t % DEPTH : t / COLUMNS;
    const int am_step = TA ? 0 : THREADS / DEPTH, ak_step = TA ? THREADS / ROWS : 0;
    const int bn_step = TB ? THREADS / DEPTH : 0, bk_step = TB ? 0 : THREADS / COLUMNS;
    unsigned a_at[A_EACH], b_at[B_EACH];                         // where it lies, counted from the k of the step on
    #pragma unroll
    for (int e = 0; e < A_EACH; e++) {
        const int m = min(m0 + am + e * am_step, M - 1), k = ak + e * ak_step;
        a_at[e] = TA ? k * M + m : m * K + k;
    }
    #pragma unroll
    for (int e = 0; e < B_EACH; e++) {
        const int n = min(n0 + bn + e * bn_step, N - 1), k = bk + e * bk_step;
        b_at[e] = TB ? n * K + k : k * N + n;
    }

    int k0 = first + rest - DEPTH;                               // of the step to come; what it holds of k before `first` counts as zero
    const float* from_a = a + (TA ? (long long)k0 * M : k0);
    const float* from_b = b + (TB ? k0 : (long long)k0 * N);
    float next_a[A_EACH], next_b[B_EACH];
    const auto fetch = [&](bool may_be_short) {                  // global memory -> registers
        #pragma unroll
        for (int e = 0; e < A_EACH; e++)
            next_a[e] = may_be_short && k0 + ak + e * ak_step < first ? 0.f : from_a[a_at[e]];
        #pragma unroll
        for (int e = 0; e < B_EACH; e++)
            next_b[e] = may_be_short && k0 + bk + e * bk_step < first ? 0.f : from_b[b_at[e]];
        from_a += TA ? DEPTH * (long long)M : DEPTH;
        from_b += TB ? DEPTH : DEPTH * (long long)N;
    };
    const auto stage = [&](int buffer) {                         // registers -> shared memory
        #pragma unroll
        for (int e = 0; e < A_EACH; e++)
            as[buffer][ak + e * ak_step][am + e * am_step] = next_a[e];
        #pragma unroll
        for (int e = 0; e < B_EACH; e++)
            bs[buffer][bk + e * bk_step][bn + e * bn_step] = next_b[e];
    };

    // What it computes: rows down..down+3 and 32 further, columns across..across+3 and 64 further.
    const int down = t / 16 * 4, across = t % 16 * 4;
    float sum[8][8] = {};
    fetch(true);
    stage(0);
    __syncthreads();     // the first tiles are whole before anyone reads them
    int buffer = 0;
    for (; k0 < last; k0 += DEPTH) {
        if (k0 + DEPTH < last) fetch(false);
        #pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float4 ra[2], rb[2];
            ra[0] = *(const float4*)&as[buffer][k][down];
            ra[1] = *(const float4*)&as[buffer][k][ROWS / 2 + down];
            rb[0] = *(const float4*)&bs[buffer][k][across];
            rb[1] = *(const float4*)&bs[buffer][k][COLUMNS / 2 + across];
            #pragma unroll
            for (int i = 0; i < 8; i++)
                #pragma unroll
                for (int j = 0; j < 8; j++)
                    sum[i][j] += ((const float*)ra)[i] * ((const float*)rb)[j];
        }
        buffer ^= 1;
        stage(buffer);
        __syncthreads();     // the next tiles are whole before anyone reads them, and all have read these before they are written over
    }

    #pragma unroll
    for (int i = 0; i < 8; i++)
        #pragma unroll
        for (int j = 0; j < 8; j++) {
            const int m = m0 + i / 4 * (ROWS / 2) + down + i % 4;
            const int n = n0 + j / 4 * (COLUMNS / 2) + across + j % 4;
            if (m < M && n < N)
                planes[((long long)blockIdx.y * M + m) * N + n] = sum[i][j] + (bias ? bias[n] : 0.f);
        }
}

// c[e] = Σ_p planes[p][e] + bias[e % N] for `size` numbers. A block of 32 x 8 threads makes 32 of them: thread (x, y) adds the planes
// y, y + 8, ..., then row 0 adds the eight sums. Always in this order: the same bits at each run.
extern "C" __global__ void __launch_bounds__(256) add_planes(
    const float* __restrict__ planes, const float* __restrict__ bias, float* __restrict__ c, int P, int size, int N)
{
    __shared__ float sums[8][32];
    const int x = threadIdx.x % 32, y = threadIdx.x / 32;
    const int e = blockIdx.x * 32 + x;

    float sum = 0.f;
    if (e < size)
        for (int p = y; p < P; p += 8)
            sum += planes[(long long)p * size + e];
    sums[y][x] = sum;
    __syncthreads();     // all eight sums are there before row 0 adds them
    if (y > 0 || e >= size) return;

    for (int other = 1; other < 8; other++)
        sum += sums[other][x];
    c[e] = sum + (bias ? bias[e % N] : 0.f);
}
