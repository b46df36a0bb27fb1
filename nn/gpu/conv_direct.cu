// Convolution, NHWC: the first rung, for any filter, stride and padding; and the ladder as a whole.
//
//     y[n,i,j,o]  = b[o] + Σ_rsc x[n, i·stride_i + r - top, j·stride_j + s - left, c] · w[o,r,s,c]      x is 0 outside its map
//     dx[n,h,v,c] = Σ_rs Σ_o dy[n,i,j,o] · w[o,r,s,c]      over the taps with i·stride_i + r - top = h and j·stride_j + s - left = v
//
//   At stride 1 the data gradient is a convolution itself, of dy with the filters turned by 180 degrees and O and C exchanged: every
//   rung serves both. At other strides dx is made by the gathering kernel here.
//
//   rung      file             what it changes                                                  where
//   direct    conv_direct.cu   one thread an output element                                     everywhere
//   tile      conv_tile.cu     pixels and filters are staged in shared memory                   filters up to 6 x 6
//   igemm     conv_igemm.cu    a product of matrices, 8 x 4 of y in a thread's registers        3 x 3, stride 1, 'same', C % 4 = 0
//   tf32x3    conv_tensor.cu   tensor cores, three products for one: fp32's accuracy            as igemm; sm_80 on, float32, C > 16
//   tf32      conv_tensor.cu   tensor cores, factors rounded to TF32                            as tf32x3, where asked for
//
//   direct v1 (this file): neighbouring threads make neighbouring o of one pixel. x: one address for the warp, a broadcast. y: a row of
//   memory. w: lanes are R·S·C floats apart, so a warp's load touches 32 lines for 128 bytes; the L1 cache holds them over the c loop
//   as long as 32 · 128 bytes a warp fit. Two loads for each multiply-add: predicted to run at the pace of the loads, 10 % of FFMA's
//   peak or less. Every x is read R·S·O times from the caches: that is what `tile` is for.
//   gather v1: neighbouring threads on neighbouring c, so here the filters are read in rows; dy is the broadcast. No thread adds to
//   what another one writes: no atomics, one order, the same bits in every run.

extern "C" __global__ void conv_direct(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b, float* __restrict__ y,
    int N, int H, int W, int C, int O, int R, int S, int I, int J, int stride_i, int stride_j, int top, int left, int relu)
{
    const int out = blockIdx.x * blockDim.x + threadIdx.x;
    if (out >= N * I * J * O) return;
    const int o = out % O;
    const int j = out / O % J;
    const int i = out / O / J % I;
    const int n = out / O / J / I;

    float sum = b ? b[o] : 0.f;
    for (int r = 0; r < R; r++) {
        const int h = i * stride_i + r - top;
        if (h < 0 || h >= H) continue;
        for (int s = 0; s < S; s++) {
            const int v = j * stride_j + s - left;
            if (v < 0 || v >= W) continue;
            const float* pixel = x + ((n * H + h) * W + v) * C;
            const float* filter = w + ((o * R + r) * S + s) * C;
            for (int c = 0; c < C; c++) sum = fmaf(pixel[c], filter[c], sum);
        }
    }
    y[out] = relu && sum <= 0 ? 0 : sum;           // a NaN is not <= 0: it stays, and is seen
}

extern "C" __global__ void conv_gather(
    const float* __restrict__ dy, const float* __restrict__ w, float* __restrict__ dx,
    int N, int H, int W, int C, int O, int R, int S, int I, int J, int stride_i, int stride_j, int top, int left)
{
    const int out = blockIdx.x * blockDim.x + threadIdx.x;
    if (out >= N * H * W * C) return;
    const int c = out % C;
    const int v = out / C % W;
    const int h = out / C / W % H;
    const int n = out / C / W / H;

    float sum = 0.f;
    for (int r = 0; r < R; r++) {
        const int down = h + top - r;              // i · stride_i, where this tap was over row h
        if (down < 0 || down % stride_i || down / stride_i >= I) continue;
        for (int s = 0; s < S; s++) {
            const int across = v + left - s;
            if (across < 0 || across % stride_j || across / stride_j >= J) continue;
            const float* pixel = dy + ((n * I + down / stride_i) * J + across / stride_j) * O;
            for (int o = 0; o < O; o++) sum = fmaf(pixel[o], w[((o * R + r) * S + s) * C + c], sum);
        }
    }
    dx[out] = sum;
}

// turned[c,r,s,o] = w[o, R-1-r, S-1-s, c]: what the data gradient at stride 1 convolves dy with. One thread an element.
extern "C" __global__ void turn_filters(const float* __restrict__ w, float* __restrict__ turned, int O, int R, int S, int C)
{
    const int out = blockIdx.x * blockDim.x + threadIdx.x;
    if (out >= C * R * S * O) return;
    const int o = out % O;
    const int s = out / O % S;
    const int r = out / O / S % R;
    const int c = out / O / S / R;
    turned[out] = w[((o * R + R - 1 - r) * S + S - 1 - s) * C + c];
}
