// Max pooling, S x S windows, stride S, NHWC.          y[n,i,j,c] = max over (r,s) of x[n, i*S+r, j*S+s, c]
//
//   element    one thread an output element: the threads of a warp differ in c, so each of its S*S loads is a row of memory (whole
//              rows where C is 32 or more). Half of its instructions work out where the window lies.
//   vector     one thread four channels: they share the window's place, travel as one float4, and their winners as one 32-bit word.
//              A quarter of the instructions for the same bytes. C must be a multiple of 4, and S at most 15 (a winner is one byte).
//              predicted: no faster than `element` where memory is the bound already, up to 1.5 times where instructions are.
//   backward   one thread an input element (vector: four), gathering: it looks up who won in its window. No atomics, so two runs agree
//              to the last bit, and dx needs no zeros first.
//
// Bytes, S = 2, an output element: forward reads 16 and writes 4 and a winner of 1; backward reads 5 and writes 16. For every float
// there is less than one comparison: memory's pace is the bound.
// predicted: 64 x 112 x 112 x 64 floats are 206 MB; forward moves 270 MB, 0.08 ms at 3.35 TB/s.
// Ties: of equals the first in row-major order wins. A NaN wins against all numbers, the first one against the others, and is seen.
// Sizes need not divide: rows and columns of x beyond (H/S)*S, (W/S)*S belong to no window, and dx is 0 there.
//
// winner[n,i,j,c] = r*S + s is a byte where S*S < 256 (`narrow`), else two (`wide`): the other pointer is null. Forward takes two nulls
// where nobody asks for the winners.

#define EACH_ELEMENT(k, n)                                                 \
    const int k = blockIdx.x * blockDim.x + threadIdx.x;                   \
    if (k >= n) return;

// Whether v takes the place of the largest one so far. Only a NaN differs from itself.
__device__ __forceinline__ bool beats(float v, float best)
{
    return v > best || (v != v && best == best);
}

__device__ __forceinline__ void meet(float v, int at, float* best, int* best_at)
{
    if (beats(v, *best)) {
        *best = v;
        *best_at = at;
    }
}

extern "C" __global__ void maxpool_forward(
    const float* __restrict__ x, float* __restrict__ y, unsigned char* __restrict__ narrow, unsigned short* __restrict__ wide, int N,
    int H, int W, int C, int S)
{
    const int I = H / S, J = W / S;
    EACH_ELEMENT(out, N * I * J * C)
    const int c = out % C;
    const int j = out / C % J;
    const int i = out / C / J % I;
    const int n = out / C / J / I;

    const float* window = x + ((n * H + i * S) * W + j * S) * C + c;
    float best = window[0];
    int best_at = 0;
    for (int r = 0; r < S; r++)
        for (int s = 0; s < S; s++)
            meet(window[(r * W + s) * C], r * S + s, &best, &best_at);
    y[out] = best;
    if (narrow) narrow[out] = best_at;
    if (wide) wide[out] = best_at;
}

extern "C" __global__ void maxpool_forward_vector(
    const float* __restrict__ x, float* __restrict__ y, unsigned char* __restrict__ winner, int N, int H, int W, int C, int S)
{
    const int I = H / S, J = W / S, Q = C / 4;                     // Q quartets of channels
    EACH_ELEMENT(out, N * I * J * Q)
    const int q = out % Q;
    const int j = out / Q % J;
    const int i = out / Q / J % I;
    const int n = out / Q / J / I;

    const float4* window = (const float4*)x + ((n * H + i * S) * W + j * S) * Q + q;
    float4 best = window[0];
    int at_x = 0, at_y = 0, at_z = 0, at_w = 0;
    for (int r = 0; r < S; r++)
        for (int s = 0; s < S; s++) {
            const float4 v = window[(r * W + s) * Q];
            meet(v.x, r * S + s, &best.x, &at_x);
            meet(v.y, r * S + s, &best.y, &at_y);
            meet(v.z, r * S + s, &best.z, &at_z);
            meet(v.w, r * S + s, &best.w, &at_w);
        }
    ((float4*)y)[out] = best;
    if (winner) ((unsigned*)winner)[out] = at_x | at_y << 8 | at_z << 16 | at_w << 24;       // the lowest byte is the first channel
}

extern "C" __global__ void maxpool_backward(
    const float* __restrict__ dy, const unsigned char* __restrict__ narrow, const unsigned short* __restrict__ wide,
    float* __restrict__ dx, int N, int H, int W, int C, int S)
{
    EACH_ELEMENT(at, N * H * W * C)
    const int c = at % C;
    const int w = at / C % W;
    const int h = at / C / W % H;
    const int n = at / C / W / H;
    const int I = H / S, J = W / S, i = h / S, j = w / S;
    float got = 0;
    if (i < I && j < J) {
        const int from = ((n * I + i) * J + j) * C + c;
        const int won = narrow ? narrow[from] : wide[from];
        if (won == h % S * S + w % S) got = dy[from];
    }
    dx[at] = got;
}

extern "C" __global__ void maxpool_backward_vector(
    const float* __restrict__ dy, const unsigned char* __restrict__ winner, float* __restrict__ dx, int N, int H, int W, int C, int S)
{
    const int Q = C / 4;
    EACH_ELEMENT(at, N * H * W * Q)
    const int q = at % Q;
    const int w = at / Q % W;
    const int h = at / Q / W % H;
    const int n = at / Q / W / H;
    const int I = H / S, J = W / S, i = h / S, j = w / S;
    float4 got = make_float4(0, 0, 0, 0);
    if (i < I && j < J) {
        const int from = ((n * I + i) * J + j) * Q + q;
        const unsigned here = h % S * S + w % S;
        const unsigned won = ((const unsigned*)winner)[from];
        const float4 v = ((const float4*)dy)[from];
        if ((won & 255) == here) got.x = v.x;
        if ((won >> 8 & 255) == here) got.y = v.y;
        if ((won >> 16 & 255) == here) got.z = v.z;
        if (won >> 24 == here) got.w = v.w;
    }
    ((float4*)dx)[at] = got;
}
