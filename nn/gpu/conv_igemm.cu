// Convolution as a product of matrices in FFMA: the third rung of the ladder in conv_direct.cu. 3 x 3, stride 1, 'same', C % 4 = 0.
//
//     y[p,o] = b[o] + Σ_(r,s) Σ_c x[p shifted by (r-1, s-1), c] · w[o,r,s,c]          p counts the N·H·W pixels
//
//   Read as a product of matrices, (pixels) x (r,s,c) by (r,s,c) x (filters). The left one would be 9 times x; it is never written down
//   (an implicit GEMM): each step takes one tap and 16 channels, and for those its rows are rows of x, shifted. What this changes:
//
//   - A block makes 128 pixels by 64 channels of y, a thread 8 x 8 of them in registers: for 64 multiply-adds it loads 4 float4
//     from shared memory, where `tile` loads 8 and 8 floats. Every pixel of the map counts: no 8 x 8 tiles hang over the edges.
//   - Both operands are turned over on the way in, to (c, pixel) and (c, filter), so that the inner loop reads float4. A warp's 32 lanes
//     write 32 neighbouring pixels of one c: no bank is met twice.
//   - Two buffers: while one is multiplied, the next step's numbers are on their way from global memory into registers, and are
//     written to the other buffer when they have come. One barrier a step instead of two.
//   A step is 1024 FFMA a thread: 85 % of the main loop's instructions, counted in the machine code for sm_80 and sm_90 (with 8 x 4 sums
//   a thread it was 79 %). Predicted: 70 to 80 % of FFMA's peak, twice `tile`.
//
//   Bytes and flops, N = 16, 56 x 56, C = O = 128: 14.8 GFLOP over 51 MB of x and y: bound by arithmetic. A warp's lanes read 16 bytes
//   each of 32 pixels, half of a sector; the other half is asked for right after and comes out of the L1 cache.
//
// Sizes: slices beyond C, filters beyond O and pixels under the border or beyond N·H·W are zeros in shared memory; nothing is written
// beyond O or N·H·W. 48 KB of shared memory in double precision, half of that in single.

#define PIXELS 128
#define FILTERS 64
#define THREADS 128
#define SLICE 16                         // channels of a step: 4 float4

extern "C" __global__ void __launch_bounds__(THREADS) conv_igemm(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b, float* __restrict__ y,
    int N, int H, int W, int C, int O, int relu)
{
    __shared__ __align__(16) float xs[2][SLICE][PIXELS];
    __shared__ __align__(16) float ws[2][SLICE][FILTERS];

    const int t = threadIdx.x;
    const int P = N * H * W, p0 = blockIdx.x * PIXELS, o0 = blockIdx.y * FILTERS;

    // What this thread brings in a step: the 4 float4 of pixel t, and 2 of filter t % 64: from channel 0 or from 8 on.
    const int to_o = t % FILTERS, to_c = t / FILTERS * 8;
    const int p = p0 + t, h = p / W % H, v = p % W;
    unsigned taps = 0;                                         // bit 3r + s: the pixel under this tap is inside the map
    #pragma unroll
    for (int tap = 0; tap < 9; tap++) {
        const int from_h = h + tap / 3 - 1, from_v = v + tap % 3 - 1;
        const bool inside = p < P && from_h >= 0 && from_h < H && from_v >= 0 && from_v < W;
        taps |= (unsigned)inside << tap;
    }
    const bool filter = o0 + to_o < O;

    int tap = 0, c0 = 0;                                       // of the next step to bring
    float4 new_x[4], new_w[2];
    auto bring = [&] {
        const float4 zeros = make_float4(0.f, 0.f, 0.f, 0.f);
        const float* from_x = x + (p + (tap / 3 - 1) * W + tap % 3 - 1) * C + c0;
        const float* from_w = w + ((o0 + to_o) * 9 + tap) * C + c0 + to_c;
        const bool inside = taps >> tap & 1;
        #pragma unroll
        for (int k = 0; k < 4; k++) new_x[k] = inside && c0 + k * 4 < C ? *(const float4*)(from_x + k * 4) : zeros;
        #pragma unroll
        for (int k = 0; k < 2; k++) new_w[k] = filter && c0 + to_c + k * 4 < C ? *(const float4*)(from_w + k * 4) : zeros;
        c0 += SLICE;
        if (c0 >= C) {
            c0 = 0;
            tap++;
        }
    };
    auto put = [&](int buffer) {
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            xs[buffer][k * 4][t] = new_x[k].x;
            xs[buffer][k * 4 + 1][t] = new_x[k].y;
            xs[buffer][k * 4 + 2][t] = new_x[k].z;
            xs[buffer][k * 4 + 3][t] = new_x[k].w;
        }
        #pragma unroll
        for (int k = 0; k < 2; k++) {
            ws[buffer][to_c + k * 4][to_o] = new_w[k].x;
            ws[buffer][to_c + k * 4 + 1][to_o] = new_w[k].y;
            ws[buffer][to_c + k * 4 + 2][to_o] = new_w[k].z;
            ws[buffer][to_c + k * 4 + 3][to_o] = new_w[k].w;
        }
    };

    // What this thread makes: 4 pixels from my_p on and 4 from my_p + 64, by 4 channels from my_o on and 4 from my_o + 32.
    const int my_p = t / 8 * 4, my_o = t % 8 * 4;
    float sum[8][8] = {};
    const int steps = 9 * ((C + SLICE - 1) / SLICE);
    bring();
    put(0);
    __syncthreads();                                           // the first step is in its buffer
    for (int step = 0; step < steps; step++) {
        const int buffer = step % 2;
        if (step + 1 < steps) bring();                         // on its way while we multiply
        #pragma unroll
        for (int c = 0; c < SLICE; c++) {
            const float4 a = *(const float4*)&xs[buffer][c][my_p], a2 = *(const float4*)&xs[buffer][c][my_p + 64];
            const float4 f = *(const float4*)&ws[buffer][c][my_o], f2 = *(const float4*)&ws[buffer][c][my_o + 32];
            const float pixels[8] = {a.x, a.y, a.z, a.w, a2.x, a2.y, a2.z, a2.w};
            const float filters[8] = {f.x, f.y, f.z, f.w, f2.x, f2.y, f2.z, f2.w};
            #pragma unroll
            for (int i = 0; i < 8; i++)
                #pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] = fmaf(pixels[i], filters[j], sum[i][j]);
        }
        if (step + 1 < steps) put(buffer ^ 1);                 // everyone left that buffer before the last barrier
        __syncthreads();                                       // the next step is in its buffer, and this one is used up
    }

    #pragma unroll
    for (int i = 0; i < 8; i++) {
        const int at_p = p0 + my_p + i % 4 + i / 4 * 64;
        if (at_p >= P) continue;
        #pragma unroll
        for (int j = 0; j < 8; j++) {
            const int o = o0 + my_o + j % 4 + j / 4 * 32;
            if (b && o < O) sum[i][j] += b[o];
            if (relu && sum[i][j] <= 0) sum[i][j] = 0;         // a NaN is not <= 0: it stays, and is seen
        }
        #pragma unroll
        for (int j = 0; j < 8; j += 4) {
            const int o = o0 + my_o + j * 8;
            float* const at = y + at_p * O + o;
            if (O % 4 == 0) {
                if (o < O) *(float4*)at = make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);
            } else {
                #pragma unroll
                for (int k = 0; k < 4; k++)
                    if (o + k < O) at[k] = sum[i][j + k];
            }
        }
    }
}
