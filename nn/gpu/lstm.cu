// The LSTM over a whole sequence. Gates stand in the order i, f, g, o; W (4U, U+D) has a block of U rows for each.
//
//     a = W [h_{t-1}, x_t] + b      i, f, o = σ(a)      g = tanh(a)      c_t = f c_{t-1} + i g      e = tanh(c_t + u_t)      h_t = o e
//
// and backwards in time, with the two gradients δh and δc that step t+1 hands back:
//
//     dh = dh_t + δh       du_t = dh o (1 - e²)       dc = δc + du_t
//     da_i = dc g i(1-i)   da_f = dc c_{t-1} f(1-f)   da_g = dc i (1-g²)   da_o = dh e o(1-o)
//     δh = da W_h          δc = dc f                  dx_t = da W_x        dW = Σ daᵀ [h_{t-1}, x_t]     db = Σ da
//
//   gates      a kernel for each gate, one thread a unit of a row, then one for c and h: 5 launches a step. Neighbouring threads read
//              rows of W, (U+D)·4 bytes apart: a warp's load touches 32 sectors of 32 bytes for 128 that it wants.
//   cell       x W_xᵀ + b for all steps is one GEMM before the first step. A step is a GEMM h W_hᵀ, which shares W among the rows, and
//              one kernel for everything that follows: 2 launches, or 3 where the GEMM adds partial sums. Backward: da W_h a step; dx,
//              dW, db once, over all steps.
//   sequence   all steps in ONE launch. A row never meets another row, so a block owns ROWS rows from the first step to the last: h (or
//              da) stays in shared memory and no block waits for another. W_h comes from L2 anew at each step, interleaved so that the
//              four gates of a unit are one float4 and a warp's loads are 512 bytes in a row; ROWS rows use it at once.
//
// Bytes at U = 512, T = 48: W_h is 4.2 MB and is read 48 times; x, h, c, e, gates are 7 numbers a unit and step, N·T·7U·4 B (44 MB at
// N = 64). Flops: 2·N·T·4U·(U+D) = 6.6 G at N = 64, a tenth of a millisecond at 60 TFLOP/s: latency and W's bytes are what counts.
// predicted for gates: 240 launches, each slowed by its scattered reads: the slowest at any size but the tiniest.
// predicted for sequence: an SM takes 64 bytes a clock from L2, so a step lasts 16 U²/64 clocks: 65,536 at U = 512 (38 µs at 1.7 GHz,
//   1.8 ms in all), 4,096 at U = 128 (2.4 µs). The time is the same for batch 1 and 64, for blocks work side by side: ceil(N/4) of them,
//   up to one an SM. The 16 products that meet each float4 hide behind its bytes; with ROWS = 1 they would too, but at N = 64 then 64
//   blocks would ask L2 for 7 TB/s, more than it gives.
// predicted for cell: a step is 2 or 3 launches, 5 to 10 µs each on the device, while Python needs 10 to 20 µs to issue one. So sequence
//   is ahead by far up to U = 256, they are about even at U = 512 (where sequence leaves the host free), and above that cell is ahead.
//
// Sizes: any N, T, D, U. The last block's rows beyond N count as zeros and are not stored; threads beyond U rest; units beyond the
// block's threads are done in rounds. T = 0 or N = 0 leaves nothing to do.

#ifndef ROWS
#define ROWS 4                                     // of the batch, that one block of the `sequence` kernels owns
#endif

#define EACH_ELEMENT(k, n)                                                 \
    const int k = blockIdx.x * blockDim.x + threadIdx.x;                   \
    if (k >= n) return;

#define EACH_UNIT(k) for (int k = threadIdx.x; k < U; k += blockDim.x)

// σ(a) = (1 + tanh(a/2)) / 2 never overflows.
__device__ __forceinline__ float sigmoid(float a)
{
    return 0.5f + 0.5f * tanhf(0.5f * a);
}

// What h and c of step t-1 are: an earlier step of (N, T, U), or the start (N, U).
__device__ __forceinline__ float earlier(const float* states, const float* start, int n, int t, int k, int T, int U)
{
    return t ? states[(n * T + t - 1) * U + k] : start[n * U + k];
}

// One unit of one row: its four gates are known, c, e and h follow; h is returned.
__device__ __forceinline__ float next_state(float i, float f, float g, float o, float before, float push, float* c, float* e)
{
    *c = f * before + i * g;
    *e = tanhf(*c + push);
    return o * *e;
}

// The same unit backwards: from dh (δh included) and δc to du, da and the δc of the step before.
__device__ __forceinline__ void state_backward(const float* gate, int U, float e, float before, float dh, float* dc, float* du,
                                               float (&da)[4])
{
    const float i = gate[0], f = gate[U], g = gate[2 * U], o = gate[3 * U];
    *du = dh * o * (1 - e * e);
    const float now = *dc + *du;
    da[0] = now * g * i * (1 - i);
    da[1] = now * before * f * (1 - f);
    da[2] = now * i * (1 - g * g);
    da[3] = dh * e * o * (1 - o);
    *dc = now * f;
}

// ---- gates ----------------------------------------------------------------------------------------------------------------------

// One gate of step t: gates[n,t,gate,k] = σ or tanh of W[gate,k] · [h_{t-1}, x_t] + b[gate,k]
extern "C" __global__ void lstm_gate(
    const float* __restrict__ x, const float* __restrict__ h0, const float* __restrict__ h, const float* __restrict__ w,
    const float* __restrict__ b, float* __restrict__ gates, int gate, int t, int N, int T, int D, int U)
{
    EACH_ELEMENT(at, N * U)
    const int n = at / U, k = at % U;
    const int row = gate * U + k;
    const float* weights = w + row * (U + D);
    float a = b[row];
    for (int j = 0; j < U; j++)
        a += weights[j] * earlier(h, h0, n, t, j, T, U);
    for (int d = 0; d < D; d++)
        a += weights[U + d] * x[(n * T + t) * D + d];
    gates[(n * T + t) * 4 * U + row] = gate == 2 ? tanhf(a) : sigmoid(a);
}

// c, e and h of step t from its gates. u may be null: then it is 0.
extern "C" __global__ void lstm_state(
    const float* __restrict__ gates, const float* __restrict__ c0, const float* __restrict__ u, float* __restrict__ h,
    float* __restrict__ c, float* __restrict__ e, int t, int N, int T, int U)
{
    EACH_ELEMENT(at, N * U)
    const int n = at / U, k = at % U;
    const int out = (n * T + t) * U + k;
    const float* gate = gates + (n * T + t) * 4 * U + k;
    const float before = earlier(c, c0, n, t, k, T, U);
    h[out] = next_state(gate[0], gate[U], gate[2 * U], gate[3 * U], before, u ? u[out] : 0, &c[out], &e[out]);
}

// [δh, dx_t] = da_t W: one thread an element of (N, U+D). da_t is (N, 4U).
extern "C" __global__ void lstm_gates_backward(
    const float* __restrict__ da_t, const float* __restrict__ w, float* __restrict__ dh0, float* __restrict__ dx, int t, int N, int T,
    int D, int U)
{
    EACH_ELEMENT(at, N * (U + D))
    const int n = at / (U + D), k = at % (U + D);
    float sum = 0;
    for (int row = 0; row < 4 * U; row++)
        sum += da_t[n * 4 * U + row] * w[row * (U + D) + k];
    if (k < U)
        dh0[n * U + k] = sum;
    else
        dx[(n * T + t) * D + k - U] = sum;
}

// dW[row,k] = Σ_nt da[n,t,row] [h_{t-1}, x_t, 1]_k: one thread an element of (4U, U+D+1), and the last column is db.
extern "C" __global__ void lstm_weights_backward(
    const float* __restrict__ da, const float* __restrict__ x, const float* __restrict__ h0, const float* __restrict__ h,
    float* __restrict__ dw, float* __restrict__ db, int N, int T, int D, int U)
{
    EACH_ELEMENT(at, 4 * U * (U + D + 1))
    const int row = at / (U + D + 1), k = at % (U + D + 1);
    float sum = 0;
    for (int n = 0; n < N; n++)
        for (int t = 0; t < T; t++) {
            const float input = k < U ? earlier(h, h0, n, t, k, T, U) : k < U + D ? x[(n * T + t) * D + k - U] : 1;
            sum += da[(n * T + t) * 4 * U + row] * input;
        }
    if (k < U + D)
        dw[row * (U + D) + k] = sum;
    else
        db[row] = sum;
}

// ---- cell -----------------------------------------------------------------------------------------------------------------------

// All of step t after its GEMM. gates[n,t] comes in as x_t W_xᵀ + b and leaves as i, f, g, o; recurrent (N, 4U) is h_{t-1} W_hᵀ.
// h_t is stored twice: in its place (N, T, U), and as rows one after another (N, U) for the next GEMM.
extern "C" __global__ void lstm_cell(
    const float* __restrict__ recurrent, const float* __restrict__ c0, const float* __restrict__ u, float* __restrict__ gates,
    float* __restrict__ h, float* __restrict__ c, float* __restrict__ e, float* __restrict__ h_t, int t, int N, int T, int U)
{
    EACH_ELEMENT(at, N * U)
    const int n = at / U, k = at % U;
    const int out = (n * T + t) * U + k;
    const float* product = recurrent + n * 4 * U + k;
    float* gate = gates + (n * T + t) * 4 * U + k;
    const float i = sigmoid(gate[0] + product[0]);
    const float f = sigmoid(gate[U] + product[U]);
    const float g = tanhf(gate[2 * U] + product[2 * U]);
    const float o = sigmoid(gate[3 * U] + product[3 * U]);
    const float before = earlier(c, c0, n, t, k, T, U);
    h[out] = h_t[at] = next_state(i, f, g, o, before, u ? u[out] : 0, &c[out], &e[out]);
    gate[0] = i;
    gate[U] = f;
    gate[2 * U] = g;
    gate[3 * U] = o;
}

// du and da of step t; δc in dc0 becomes that of the step before. da is stored twice, as h is above. δh is (N, U).
extern "C" __global__ void lstm_cell_backward(
    const float* __restrict__ dh, const float* __restrict__ from_next, const float* __restrict__ gates, const float* __restrict__ c0,
    const float* __restrict__ c, const float* __restrict__ e, float* __restrict__ dc0, float* __restrict__ du, float* __restrict__ da,
    float* __restrict__ da_t, int t, int N, int T, int U)
{
    EACH_ELEMENT(at, N * U)
    const int n = at / U, k = at % U;
    const int out = (n * T + t) * U + k;
    const int first = (n * T + t) * 4 * U + k;
    const float before = earlier(c, c0, n, t, k, T, U);
    float da_gate[4];
    state_backward(gates + first, U, e[out], before, dh[out] + from_next[at], &dc0[at], &du[out], da_gate);
    for (int gate = 0; gate < 4; gate++)
        da[first + gate * U] = da_t[n * 4 * U + gate * U + k] = da_gate[gate];
}

// joined[n,t] = [h_{t-1}, x_t]: what W met at every step, for dW as one GEMM
extern "C" __global__ void lstm_join(
    const float* __restrict__ x, const float* __restrict__ h0, const float* __restrict__ h, float* __restrict__ joined, int N, int T,
    int D, int U)
{
    EACH_ELEMENT(at, N * T * (U + D))
    const int k = at % (U + D);
    const int t = at / (U + D) % T;
    const int n = at / (U + D) / T;
    joined[at] = k < U ? earlier(h, h0, n, t, k, T, U) : x[(n * T + t) * D + k - U];
}

// ---- sequence -------------------------------------------------------------------------------------------------------------------

// The weights of the four gates from h[j] to unit k, side by side at place j·step_j + k·step_k of `packed` (U, U, 4). Forward wants k
// to run fastest (U, 1), for its threads own k; backward wants j (1, U). Neighbouring threads read neighbouring j of a row of W.
extern "C" __global__ void lstm_interleave(
    const float* __restrict__ w, float* __restrict__ packed, int step_j, int step_k, int D, int U)
{
    EACH_ELEMENT(at, U * U)
    const int k = at / U, j = at % U;
    const float* weight = w + k * (U + D) + j;
    const int gate = U * (U + D);
    ((float4*)packed)[j * step_j + k * step_k] = make_float4(weight[0], weight[gate], weight[2 * gate], weight[3 * gate]);
}

// All steps of ROWS rows of the batch. gates comes in as x W_xᵀ + b and leaves as i, f, g, o.
// c_{t-1} is read back from c: the thread that reads an element is the one that wrote it. The 1 in the launch bounds allows one block
// an SM, so each thread gets registers enough to have eight loads of weights on their way at once: 64 KB a block hide L2's latency.
extern "C" __global__ void __launch_bounds__(512, 1) lstm_sequence(
    const float* __restrict__ packed, const float* __restrict__ h0, const float* __restrict__ c0, const float* __restrict__ u,
    float* __restrict__ gates, float* __restrict__ h, float* __restrict__ c, float* __restrict__ e, int N, int T, int U)
{
    extern __shared__ __align__(16) float shared[];                // two of (U, ROWS): h_{t-1}, and h_t while it comes to be
    const float4* weights = (const float4*)packed;
    const int first = blockIdx.x * ROWS;

    EACH_UNIT(k)
        for (int r = 0; r < ROWS; r++)
            shared[k * ROWS + r] = first + r < N ? h0[(first + r) * U + k] : 0;

    for (int t = 0; t < T; t++) {
        const float* before = shared + t % 2 * U * ROWS;
        float* after = shared + (t + 1) % 2 * U * ROWS;
        __syncthreads();                           // h_{t-1} is whole, and nobody still reads h_{t-2}, which h_t overwrites

        EACH_UNIT(k) {
            float a[ROWS][4] = {};
            #pragma unroll 8
            for (int j = 0; j < U; j++) {
                const float4 weight = weights[j * U + k];
                #pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    const float from = before[j * ROWS + r];
                    a[r][0] += weight.x * from;
                    a[r][1] += weight.y * from;
                    a[r][2] += weight.z * from;
                    a[r][3] += weight.w * from;
                }
            }
            #pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int n = first + r;
                if (n >= N) {
                    after[k * ROWS + r] = 0;
                    continue;
                }
                const int out = (n * T + t) * U + k;
                float* gate = gates + (n * T + t) * 4 * U + k;
                const float i = gate[0] = sigmoid(gate[0] + a[r][0]);
                const float f = gate[U] = sigmoid(gate[U] + a[r][1]);
                const float g = gate[2 * U] = tanhf(gate[2 * U] + a[r][2]);
                const float o = gate[3 * U] = sigmoid(gate[3 * U] + a[r][3]);
                const float c_before = earlier(c, c0, n, t, k, T, U);
                h[out] = after[k * ROWS + r] = next_state(i, f, g, o, c_before, u ? u[out] : 0, &c[out], &e[out]);
            }
        }
    }
}

// The same rows backwards in time: du, da, and in dh0 and dc0 the δh and δc that go from step to step: they come in as 0 and dc, and
// each of their elements is touched by one thread alone.
extern "C" __global__ void __launch_bounds__(512, 1) lstm_sequence_backward(
    const float* __restrict__ packed, const float* __restrict__ dh, const float* __restrict__ gates, const float* __restrict__ c0,
    const float* __restrict__ c, const float* __restrict__ e, float* __restrict__ dh0, float* __restrict__ dc0, float* __restrict__ du,
    float* __restrict__ da, int N, int T, int U)
{
    extern __shared__ __align__(16) float shared[];                // (U, 4, ROWS): da of this step
    const float4* weights = (const float4*)packed;
    const int first = blockIdx.x * ROWS;

    for (int t = T - 1; t >= 0; t--) {
        EACH_UNIT(k) {
            float da_here[ROWS][4] = {};                           // of a row beyond N: 0
            #pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int n = first + r;
                if (n >= N) continue;
                const int out = (n * T + t) * U + k;
                const float before = earlier(c, c0, n, t, k, T, U);
                const float dh_t = dh[out] + dh0[n * U + k];
                state_backward(gates + (n * T + t) * 4 * U + k, U, e[out], before, dh_t, &dc0[n * U + k], &du[out], da_here[r]);
                for (int gate = 0; gate < 4; gate++)
                    da[(n * T + t) * 4 * U + gate * U + k] = da_here[r][gate];
            }
            #pragma unroll
            for (int gate = 0; gate < 4; gate++)
                #pragma unroll
                for (int r = 0; r < ROWS; r++)                     // one store of 16 bytes where ROWS is 4
                    shared[(k * 4 + gate) * ROWS + r] = da_here[r][gate];
        }
        __syncthreads();                           // da is whole before the products read it

        EACH_UNIT(j) {
            float sum[ROWS][4] = {};                               // a sum for each gate: four short chains instead of a long one
            #pragma unroll 8
            for (int k = 0; k < U; k++) {
                const float4 weight = weights[k * U + j];
                const float* da_k = shared + k * 4 * ROWS;
                #pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    sum[r][0] += weight.x * da_k[r];
                    sum[r][1] += weight.y * da_k[ROWS + r];
                    sum[r][2] += weight.z * da_k[2 * ROWS + r];
                    sum[r][3] += weight.w * da_k[3 * ROWS + r];
                }
            }
            #pragma unroll
            for (int r = 0; r < ROWS; r++)
                if (first + r < N)
                    dh0[(first + r) * U + j] = (sum[r][0] + sum[r][1]) + (sum[r][2] + sum[r][3]);
        }
        __syncthreads();                           // all have read da before the step before writes its own
    }
}
