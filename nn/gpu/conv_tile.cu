// Convolution from shared memory: the second rung of the ladder in conv_direct.cu. Any filter that fits, any stride and padding.
//
//     y[n,i,j,o] = b[o] + Σ_rsc x[n, i·stride_i + r - top, j·stride_j + s - left, c] · w[o,r,s,c]          x is 0 outside its map
//
//   A block makes 8 x 8 pixels of y by 64 channels. For every slice of 4 channels of x it stages the patch that its pixels see, (7 ·
//   stride + R) x (7 · stride + S) x 4, and the slice of its 64 filters; then it multiplies what it has staged. What this changes:
//
//   - x leaves global memory once for 64 channels of y instead of once for each, and (3 x 3) 1.6 times instead of 9.
//   - A warp makes one row of 8 pixels, a lane its channels o and o + 32: 16 sums in registers. For one tap it loads 8 float4 of x,
//     the same for the whole warp (a broadcast), and 8 floats of w, for 64 multiply-adds.
//   - Filters lie as (tap, c, o) there, so the lanes read neighbouring banks. They are written with 4 values of c by 8 of o to a warp:
//     72 floats from one c to the next, not 64, and these 32 meet 32 banks.
//   Counted in the machine code: 57 % of the inner loop's instructions are FFMA. Predicted: 40 floats out of shared memory a lane for 64
//   multiply-adds make the path from shared memory the bound, at 30 to 40 % of FFMA's peak, 3 to 5 times `direct`. More sums a thread
//   would mend that: conv_igemm.cu.
//
// Sizes: pixels beyond the map, and channels beyond C or O, are staged as zeros and not written. With C = 1 three quarters of the products
// are with zeros. Shared memory, 3 x 3 at stride 1: 12 KB; a 7 x 7 filter needs more than 48 KB and is left to `direct`.

#define SIDE 8                       // rows and columns of y a block makes: a warp a row
#define FILTERS 64
#define SLICE 4                      // channels of x at a time: SLICE · FILTERS is the number of threads
#define PITCH (FILTERS + 8)

extern "C" __global__ void __launch_bounds__(256) conv_tile(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b, float* __restrict__ y,
    int N, int H, int W, int C, int O, int R, int S, int I, int J, int stride_i, int stride_j, int top, int left, int relu)
{
    extern __shared__ __align__(16) float memory[];
    const int rows = (SIDE - 1) * stride_i + R, columns = (SIDE - 1) * stride_j + S;
    float* const patch = memory;                               // (rows, columns, SLICE)
    float* const slab = memory + rows * columns * SLICE;       // (R, S, SLICE, PITCH)

    const int t = threadIdx.x, lane = t % 32, line = t / 32;
    const int across = (J + SIDE - 1) / SIDE, down = (I + SIDE - 1) / SIDE;
    const int j0 = blockIdx.x % across * SIDE;
    const int i0 = blockIdx.x / across % down * SIDE;
    const int n = blockIdx.x / across / down;
    const int o0 = blockIdx.y * FILTERS;

    float sum[SIDE][2] = {};
    for (int c0 = 0; c0 < C; c0 += SLICE) {
        for (int e = t; e < rows * columns * SLICE; e += 256) {
            const int c = c0 + e % SLICE;
            const int v = j0 * stride_j - left + e / SLICE % columns;
            const int h = i0 * stride_i - top + e / SLICE / columns;
            const bool inside = h >= 0 && h < H && v >= 0 && v < W && c < C;
            patch[e] = inside ? x[((n * H + h) * W + v) * C + c] : 0.f;
        }
        const int o = o0 + t / SLICE, c = c0 + t % SLICE;
        for (int tap = 0; tap < R * S; tap++)
            slab[(tap * SLICE + t % SLICE) * PITCH + t / SLICE] = o < O && c < C ? w[(o * R * S + tap) * C + c] : 0.f;
        __syncthreads();                                       // the whole slice is staged before anyone multiplies

        for (int tap = 0; tap < R * S; tap++) {
            const float* filter = slab + tap * SLICE * PITCH + lane;
            const float* pixel = patch + ((line * stride_i + tap / S) * columns + tap % S) * SLICE;
            float f[SLICE][2];
            #pragma unroll
            for (int k = 0; k < SLICE; k++) {
                f[k][0] = filter[k * PITCH];
                f[k][1] = filter[k * PITCH + 32];
            }
            #pragma unroll
            for (int j = 0; j < SIDE; j++) {
                const float4 p = *(const float4*)&pixel[j * stride_j * SLICE];
                #pragma unroll
                for (int half = 0; half < 2; half++) {
                    sum[j][half] = fmaf(p.x, f[0][half], sum[j][half]);
                    sum[j][half] = fmaf(p.y, f[1][half], sum[j][half]);
                    sum[j][half] = fmaf(p.z, f[2][half], sum[j][half]);
                    sum[j][half] = fmaf(p.w, f[3][half], sum[j][half]);
                }
            }
        }
        __syncthreads();                                       // all have multiplied before the next slice takes this one's place
    }

    const int i = i0 + line;
    if (i >= I) return;
    #pragma unroll
    for (int half = 0; half < 2; half++) {
        const int o = o0 + lane + half * 32;
        if (o >= O) continue;
        const float bias = b ? b[o] : 0.f;
        #pragma unroll
        for (int j = 0; j < SIDE; j++) {
            if (j0 + j >= J) continue;
            const float v = sum[j][half] + bias;
            y[((n * I + i) * J + j0 + j) * O + o] = relu && v <= 0 ? 0 : v;      // a NaN is not <= 0: it stays, and is seen
        }
    }
}
