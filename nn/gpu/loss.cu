// The two losses of the paper and their slopes.
//
//   squared error     L = (1/n) Σ_k (y_k - t_k)²                             dy = 2 (y - t) / n
//   landmark error    L = (1/NL) Σ_nl ‖p_nl - t_nl‖ / d_n                    dp = (p - t) / ‖p - t‖ / (N L d_n)
//
// Forward: one kernel subtracts, squares and sums, so that no difference is written to memory; each block leaves the sum of its slab
// (reduce.cuh with one column), already divided, and sum_all adds these few. Backward: a thread a number, or a thread a landmark.
//
// Bytes: forward reads y and t, backward reads both and writes dy. A batch's 64 x 68 landmarks are 70 KB: predicted to cost a launch, some
// 3 µs, and no more. The largest loss of a step is the smallest kernel of it.
// Where a point is exactly right its length has no slope, and dp is 0. So it is where the length's square is too small for a float.

#include "reduce.cuh"

extern "C" __global__ void __launch_bounds__(THREADS) squared_error(
    const float* __restrict__ y, const float* __restrict__ target, float* __restrict__ sums, float scale, int n, int rows)
{
    const Walk walk = walk_of_thread(n, 1, rows);
    float sum = 0;
#pragma unroll 4
    for (int k = walk.first; k < walk.end; k += walk.step) {
        const float d = y[k] - target[k];
        sum += d * d;
    }
    sum = COLUMN_SUM(sum, 1);
    if (threadIdx.x == 0)
        sums[blockIdx.y] = sum * scale;
}

extern "C" __global__ void squared_error_backward(
    const float* __restrict__ y, const float* __restrict__ target, float* __restrict__ dy, float scale, int n)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n) return;
    dy[k] = (y[k] - target[k]) * scale;
}

// points, target (N, L, 2), distance (N,); n = N L
extern "C" __global__ void __launch_bounds__(THREADS) landmark_error(
    const float* __restrict__ points, const float* __restrict__ target, const float* __restrict__ distance, float* __restrict__ sums,
    float scale, int n, int L, int rows)
{
    const Walk walk = walk_of_thread(n, 1, rows);
    float sum = 0;
#pragma unroll 4
    for (int k = walk.first; k < walk.end; k += walk.step) {
        const float across = points[2 * k] - target[2 * k];
        const float down = points[2 * k + 1] - target[2 * k + 1];
        sum += sqrtf(across * across + down * down) / distance[k / L];
    }
    sum = COLUMN_SUM(sum, 1);
    if (threadIdx.x == 0)
        sums[blockIdx.y] = sum * scale;
}

extern "C" __global__ void landmark_error_backward(
    const float* __restrict__ points, const float* __restrict__ target, const float* __restrict__ distance, float* __restrict__ dp,
    float scale, int n, int L)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n) return;

    const float across = points[2 * k] - target[2 * k];
    const float down = points[2 * k + 1] - target[2 * k + 1];
    const float length = sqrtf(across * across + down * down);
    const float push = length > 0 ? scale / (length * distance[k / L]) : 0;
    dp[2 * k] = across * push;
    dp[2 * k + 1] = down * push;
}
