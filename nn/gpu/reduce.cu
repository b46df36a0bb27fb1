// Sums over the rows of a matrix.          sums[c] = Σ_m a[m,c]          a (M, C) -> (C,)
//
//   v1 serial     a thread a column, walking all M rows. At C = 64 that is 2 warps on a whole card, with 4 KB on their way from memory
//                 where it takes some 2 MB to busy it. A plain running sum of 10⁶ floats loses 3 digits; Kahan's does not.
//   v2 shared     blocks of 256 threads own slabs of rows (see reduce.cuh); a thread sums its few rows, the block's threads meet in shared
//                 memory, and each slab leaves a row of partial sums. These are a matrix again: a second launch of the same kernel adds
//                 them. Up to 512 blocks read at once, 8 rows of a thread in flight: predicted within 20 % of memory's pace for
//                 arrays of 10 MB and more, so some 400x over v1 at C = 64. The sum is nearly pairwise: no Kahan needed.
//   v3 shuffle    the lanes of a warp meet by shuffles: 2 barriers where v2 has up to 10. Reading is the bound of large arrays: predicted
//                 1.0x there, and up to 1.5x for small and narrow ones (C = 1: a loss), where barriers are most of the time.
//
// Bytes: v2 and v3 read a once, 4MC bytes, and 2 · 4KC more for K <= 512 partial rows. One addition a number: 1/4 flop a byte, so memory
// is the bound on every card.
// No atomics: the second launch adds the slabs in their order. Sizes need not divide: the last slab is shorter, and threads beyond
// column C bring zeros.

#include "reduce.cuh"

extern "C" __global__ void sum_rows_serial(const float* __restrict__ a, float* __restrict__ sums, int M, int C)
{
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;

    float sum = 0, lost = 0;
    for (int m = 0; m < M; m++)
        add(sum, lost, a[m * C + c]);
    sums[c] = sum;
}

// sums (slabs, C)
extern "C" __global__ void __launch_bounds__(THREADS) sum_rows(const float* __restrict__ a, float* __restrict__ sums,
                                                               int M, int C, int W, int rows)
{
    const Walk walk = walk_of_thread(M, W, rows);
    float sum = 0;
    if (walk.c < C) {
#pragma unroll 8
        for (int m = walk.first; m < walk.end; m += walk.step)
            sum += a[m * C + walk.c];
    }
    sum = COLUMN_SUM(sum, W);
    if (threadIdx.x < W && walk.c < C)
        sums[blockIdx.y * C + walk.c] = sum;
}
