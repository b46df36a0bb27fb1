// What the reductions of reduce.cu, norm.cu and loss.cu share: how blocks are laid over a matrix, and how the threads of a block add up.
//
// A matrix (M, C) is cut into strips of W columns (W a power of two, 32 at most) and slabs of `rows` rows. A block takes a slab of a strip:
//
//   column of a thread    blockIdx.x * W + threadIdx.x % W: neighbouring lanes read neighbouring numbers, one row of memory
//   rows of a thread      every (THREADS/W)-th of the slab, beginning with number threadIdx.x / W
//
// At C = 64 a warp is one row of 32 columns. At C = 3 W is 4, and a warp is 8 rows; the fourth column is idle. At C = 1 it is 32 rows.
// The cut depends on the shape alone, never on the card, and every sum has one order: the same bits everywhere, at every run.

#define THREADS 256
#define WARPS (THREADS / 32)

struct Walk {
    int c;                                          // column, perhaps beyond the last
    int first, end, step;                           // rows first, first + step, ... below end
};

static __device__ __forceinline__ Walk walk_of_thread(int M, int W, int rows)
{
    const int start = blockIdx.y * rows;            // of the slab
    Walk walk;
    walk.c = blockIdx.x * W + threadIdx.x % W;
    walk.first = start + threadIdx.x / W;
    walk.end = M - start < rows ? M : start + rows;
    walk.step = THREADS / W;
    return walk;
}

// Kahan's sum: `lost` keeps what rounding added to the sum, and the next addition takes it off again.
static __device__ __forceinline__ void add(float& sum, float& lost, float v)
{
    v -= lost;
    const float larger = sum + v;
    lost = (larger - sum) - v;
    sum = larger;
}

// Each thread brings a number v; each takes home the sum over all threads of its column. Every thread of the block must call it.
//
// Through shared memory: half of the threads add what the other half left, then half of those, until W are left.
// log2(THREADS/W) + 2 barriers: 5 at W = 32, 10 at W = 1.
static __device__ __forceinline__ float column_sum_shared(float v, int W)
{
    __shared__ float sums[THREADS];
    sums[threadIdx.x] = v;
    for (int half = THREADS / 2; half >= W; half /= 2) {
        __syncthreads();                            // protects: the numbers of the level before are written
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    __syncthreads();                                // protects: the last W sums are written
    v = sums[threadIdx.x % W];
    __syncthreads();                                // protects: all have read before the next call writes
    return v;
}

// By shuffles: lanes W, 2W, ... 16 apart hold the same column, and add by exchanging registers; then one number a warp and column meets
// in shared memory. 2 barriers. (a + b = b + a to the last bit, so all lanes of a column hold the same sum.)
static __device__ __forceinline__ float column_sum_shuffle(float v, int W)
{
    __shared__ float sums[WARPS][32];
    const int lane = threadIdx.x % 32;
    for (int apart = 16; apart >= W; apart /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, apart);
    if (lane < W)
        sums[threadIdx.x / 32][lane] = v;
    __syncthreads();                                // protects: the sums of all warps are written
    v = 0;
    for (int warp = 0; warp < WARPS; warp++)
        v += sums[warp][lane % W];
    __syncthreads();                                // protects: the sums of all warps are read before the next call writes
    return v;
}

#ifndef COLUMN_SUM
#define COLUMN_SUM column_sum_shuffle
#endif
