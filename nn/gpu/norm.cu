// Batch norm of M numbers in each of C channels.        μ = Σ x / M        σ² = Σ (x - μ)² / M        x (M, C)
//
//   y  = γ x̂ + β                                        x̂ = (x - μ) s,     s = 1 / √(σ² + ε)
//   dβ = Σ dy       dγ = Σ dy x̂       dx = γ s (dy - dβ/M - x̂ dγ/M)        the last two terms only where μ and σ² are the batch's own
//
// A ReLU that follows rides along: y = max(y, 0), and backward dy counts only where γ x̂ + β > 0, found anew from x.
//
//   v1 serial     a thread a channel walks all rows: for μ, again for σ², and backward once for both sums. The equations as they stand,
//                 by a few warps.
//   v2 shared     blocks own slabs of rows (see reduce.cuh) and leave a row of partial results each; a second launch joins them.
//                 Predicted as in reduce.cu: some 400x over v1 at C = 64, within 20 % of memory's pace for arrays of 10 MB and more.
//   v3 shuffle    the threads of a block meet by shuffles. Predicted 1.0x on large maps, up to 1.3x on small ones.
//
// Σ x² / M - μ² would need one pass, and loses every digit of σ² where μ is large. v2 and v3 need one pass and lose none: a part of m_k
// numbers keeps its own mean μ_k and Q_k = Σ (x - μ_k)², and parts are joined (Chan et al. 1979) by
//
//   M σ² = Σ_k Q_k + m_k (μ_k - μ)²                     chunks of 8 rows join in a thread, threads in a block, blocks at the end
//
// Bytes a number: statistics read 4, forward reads 4 and writes 4; backward reads 8 for the sums, then reads 8 and writes 4. About 10 flops
// for these 32 bytes: memory is the bound in every pass. No pass keeps x̂ or a mask: reading x again costs what reading them would.
// Forward and dx use the same cut, so that a thread finds γ s once for its channel and not once a number.

#include "reduce.cuh"

#define EACH_ROW(m, walk) for (int m = walk.first; m < walk.end; m += walk.step)

extern "C" __global__ void batch_statistics_serial(const float* __restrict__ x, float* __restrict__ mean, float* __restrict__ variance,
                                                   int M, int C)
{
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;

    float sum = 0, lost = 0;
    for (int m = 0; m < M; m++)
        add(sum, lost, x[m * C + c]);
    const float mu = sum / M;

    sum = lost = 0;
    for (int m = 0; m < M; m++) {
        const float d = x[m * C + c] - mu;
        add(sum, lost, d * d);
    }
    mean[c] = mu;
    variance[c] = sum / M;
}

#define CHUNK 8                                     // rows that a thread reads at once

struct Part {
    float count, mean, square;                      // m_k, μ_k, Q_k
};

// Chan's formula for two parts, the second one of n numbers.
static __device__ __forceinline__ void join(Part& part, float n, float mean, float square)
{
    const float d = mean - part.mean;
    const float weight = n / (part.count + n);
    part.mean += d * weight;
    part.square += square + d * d * part.count * weight;
    part.count += n;
}

// Of each slab: its mean, and its sum of squares about that mean.                                           means, squares (slabs, C)
extern "C" __global__ void __launch_bounds__(THREADS) batch_statistics_slabs(
    const float* __restrict__ x, float* __restrict__ means, float* __restrict__ squares, int M, int C, int W, int rows)
{
    const Walk walk = walk_of_thread(M, W, rows);
    Part part = {};
    if (walk.c < C) {
        int m = walk.first;
        for (; m + (CHUNK - 1) * walk.step < walk.end; m += CHUNK * walk.step) {
            float v[CHUNK], sum = 0, square = 0;
#pragma unroll
            for (int k = 0; k < CHUNK; k++)
                v[k] = x[(m + k * walk.step) * C + walk.c];
#pragma unroll
            for (int k = 0; k < CHUNK; k++)
                sum += v[k];
#pragma unroll
            for (int k = 0; k < CHUNK; k++)
                square += (v[k] - sum / CHUNK) * (v[k] - sum / CHUNK);
            join(part, CHUNK, sum / CHUNK, square);
        }
        for (; m < walk.end; m += walk.step)        // the rows that fill no chunk
            join(part, 1, x[m * C + walk.c], 0);
    }

    const float n = walk.end - (int)blockIdx.y * rows;
    const float mu = COLUMN_SUM(part.count * part.mean, W) / n;
    const float d = part.mean - mu;
    const float square = COLUMN_SUM(part.square + part.count * d * d, W);
    if (threadIdx.x < W && walk.c < C) {
        means[blockIdx.y * C + walk.c] = mu;
        squares[blockIdx.y * C + walk.c] = square;
    }
}

// The slabs of a strip, joined by one block: here a row of its matrix is a slab.
extern "C" __global__ void __launch_bounds__(THREADS) batch_statistics_join(
    const float* __restrict__ means, const float* __restrict__ squares, float* __restrict__ mean, float* __restrict__ variance,
    int M, int C, int W, int rows, int slabs)
{
    const Walk walk = walk_of_thread(slabs, W, slabs);
    const int last = M - (slabs - 1) * rows;        // rows of the last slab
    float sum = 0;
    if (walk.c < C)
        EACH_ROW(k, walk)
            sum += (k < slabs - 1 ? rows : last) * means[k * C + walk.c];
    const float mu = COLUMN_SUM(sum, W) / M;

    float square = 0;
    if (walk.c < C)
        EACH_ROW(k, walk) {
            const float d = means[k * C + walk.c] - mu;
            square += squares[k * C + walk.c] + (k < slabs - 1 ? rows : last) * d * d;
        }
    square = COLUMN_SUM(square, W);
    if (threadIdx.x < W && walk.c < C) {
        mean[walk.c] = mu;
        variance[walk.c] = square / M;
    }
}

// A channel's line y = (x - μ) γ s + β. One fmaf, spelled out: forward and backward make the same bits of y, and so agree on which side
// of the ReLU's kink it is.
struct Line {
    float mean, scale, slope, offset;               // μ, s, γ s, β
    __device__ float at(float x) const { return fmaf(x - mean, slope, offset); }
};

static __device__ __forceinline__ Line line_of_channel(const float* gamma, const float* beta, const float* mean, const float* variance,
                                                       float epsilon, int c)
{
    Line line;
    line.mean = mean[c];
    line.scale = 1 / sqrtf(variance[c] + epsilon);
    line.slope = gamma[c] * line.scale;
    line.offset = beta[c];
    return line;
}

extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_forward(
    const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta, const float* __restrict__ mean,
    const float* __restrict__ variance, float* __restrict__ y, float epsilon, bool relu, int M, int C, int W, int rows)
{
    const Walk walk = walk_of_thread(M, W, rows);
    if (walk.c >= C) return;

    const Line line = line_of_channel(gamma, beta, mean, variance, epsilon, walk.c);
#pragma unroll 8
    EACH_ROW(m, walk) {
        const float v = line.at(x[m * C + walk.c]);
        y[m * C + walk.c] = relu && v <= 0 ? 0 : v;  // a NaN stays
    }
}

// sums (2, C): dβ, dγ
extern "C" __global__ void batch_norm_sums_serial(
    const float* __restrict__ dy, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ variance, float* __restrict__ sums, float epsilon, bool relu, int M, int C)
{
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C) return;

    const Line line = line_of_channel(gamma, beta, mean, variance, epsilon, c);
    float dbeta = 0, dbeta_lost = 0, dgamma = 0, dgamma_lost = 0;
    for (int m = 0; m < M; m++) {
        const float v = x[m * C + c];
        const float g = relu && line.at(v) <= 0 ? 0 : dy[m * C + c];
        add(dbeta, dbeta_lost, g);
        add(dgamma, dgamma_lost, g * (v - line.mean));
    }
    sums[c] = dbeta;
    sums[C + c] = dgamma * line.scale;
}

// sums (slabs, 2, C): the parts of dβ and dγ that each slab has
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_sums(
    const float* __restrict__ dy, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ variance, float* __restrict__ sums, float epsilon, bool relu,
    int M, int C, int W, int rows)
{
    const Walk walk = walk_of_thread(M, W, rows);
    Line line = {};
    float dbeta = 0, dgamma = 0;
    if (walk.c < C) {
        line = line_of_channel(gamma, beta, mean, variance, epsilon, walk.c);
#pragma unroll 4
        EACH_ROW(m, walk) {
            const float v = x[m * C + walk.c];
            const float g = relu && line.at(v) <= 0 ? 0 : dy[m * C + walk.c];
            dbeta += g;
            dgamma += g * (v - line.mean);
        }
    }
    dbeta = COLUMN_SUM(dbeta, W);
    dgamma = COLUMN_SUM(dgamma, W) * line.scale;
    if (threadIdx.x < W && walk.c < C) {
        sums[blockIdx.y * 2 * C + walk.c] = dbeta;
        sums[blockIdx.y * 2 * C + C + walk.c] = dgamma;
    }
}

// share: 1/M where μ and σ² are the batch's own, else 0
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_backward(
    const float* __restrict__ dy, const float* __restrict__ x, const float* __restrict__ gamma, const float* __restrict__ beta,
    const float* __restrict__ mean, const float* __restrict__ variance, const float* __restrict__ dbeta, const float* __restrict__ dgamma,
    float* __restrict__ dx, float epsilon, bool relu, float share, int M, int C, int W, int rows)
{
    const Walk walk = walk_of_thread(M, W, rows);
    if (walk.c >= C) return;

    const Line line = line_of_channel(gamma, beta, mean, variance, epsilon, walk.c);
    const float through_mean = share * dbeta[walk.c];
    const float through_variance = share * dgamma[walk.c] * line.scale;
#pragma unroll 4
    EACH_ROW(m, walk) {
        const float v = x[m * C + walk.c];
        const float g = relu && line.at(v) <= 0 ? 0 : dy[m * C + walk.c];
        dx[m * C + walk.c] = line.slope * (g - through_mean - (v - line.mean) * through_variance);
    }
}
