// ReLU, sigmoid, tanh, dropout, and what backward makes of dy; each derivative is written with the output y.
//
//   one thread an element, neighbouring threads on neighbouring elements: every access of a warp is one row of memory.
//   Bytes: forward reads x and writes y; backward reads dy and y, writes dx. There is nothing to reuse, so memory's pace is the bound.

#define EACH_ELEMENT(k, n)                                                 \
    const int k = blockIdx.x * blockDim.x + threadIdx.x;                   \
    if (k >= n) return;

extern "C" __global__ void relu_forward(const float* __restrict__ x, float* __restrict__ y, int n)
{
    EACH_ELEMENT(k, n)
    y[k] = x[k] <= 0 ? 0 : x[k];                   // a NaN is not <= 0: it stays, and is seen
}

extern "C" __global__ void relu_backward(const float* __restrict__ dy, const float* __restrict__ y, float* __restrict__ dx, int n)
{
    EACH_ELEMENT(k, n)
    dx[k] = y[k] > 0 ? dy[k] : 0;
}

// σ(x) = (1 + tanh(x/2)) / 2 never overflows.
extern "C" __global__ void sigmoid_forward(const float* __restrict__ x, float* __restrict__ y, int n)
{
    EACH_ELEMENT(k, n)
    y[k] = 0.5f + 0.5f * tanhf(0.5f * x[k]);
}

extern "C" __global__ void sigmoid_backward(const float* __restrict__ dy, const float* __restrict__ y, float* __restrict__ dx, int n)
{
    EACH_ELEMENT(k, n)
    dx[k] = dy[k] * y[k] * (1 - y[k]);
}

extern "C" __global__ void tanh_forward(const float* __restrict__ x, float* __restrict__ y, int n)
{
    EACH_ELEMENT(k, n)
    y[k] = tanhf(x[k]);
}

extern "C" __global__ void tanh_backward(const float* __restrict__ dy, const float* __restrict__ y, float* __restrict__ dx, int n)
{
    EACH_ELEMENT(k, n)
    dx[k] = dy[k] * (1 - y[k] * y[k]);
}

// A number for each (seed, k), the same on every device: a hash needs no state, so no thread waits for another, and backward draws
// the mask again instead of keeping it. One round of a 32-bit mixer for each half of the seed.
__device__ __forceinline__ unsigned mixed(unsigned h)
{
    h ^= h >> 16;  h *= 0x7feb352du;
    h ^= h >> 15;  h *= 0x846ca68bu;
    return h ^ h >> 16;
}

__device__ __forceinline__ unsigned drawn(unsigned low, unsigned high, unsigned k)
{
    return mixed(mixed(k ^ low) + high);
}

// y = x · scale where the draw of k is `threshold` or more, else 0
extern "C" __global__ void dropout(const float* __restrict__ x, float* __restrict__ y, unsigned low, unsigned high, unsigned threshold,
                                   float scale, int n)
{
    EACH_ELEMENT(k, n)
    y[k] = drawn(low, high, k) >= threshold ? x[k] * scale : 0;
}
