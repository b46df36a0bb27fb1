// One step of an optimiser on one array, in place.
//
//   SGD     v <- momentum v + ∇                θ <- θ - lr v
//   Adam    m <- β₁ m + (1 - β₁) ∇             v <- β₂ v + (1 - β₂) ∇²             θ <- θ - lr m̂ / (√v̂ + ε)
//           m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)
//
// A thread a number. The two corrections are the same for all numbers, so the host folds them, in double precision, into two others:
// with κ = √(1 - β₂ᵗ),  lr m̂ / (√v̂ + ε) = rate · m / (√v + shift),  rate = lr κ / (1 - β₁ᵗ), shift = ε κ.
//
// Bytes a number: SGD reads 12 and writes 8, Adam reads 16 and writes 12, at most 12 flops: memory is the bound, and one kernel that does
// it all in one reading is the whole ladder. (Written as NumPy would, product by product, Adam moves some 130 bytes.) Predicted: 85 % of
// memory's pace from 1 M numbers on; the many small arrays of a model cost a launch each, some 3 µs.

extern "C" __global__ void sgd_step(float* __restrict__ value, const float* __restrict__ grad, float* __restrict__ velocity,
                                    float lr, float momentum, int n)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n) return;

    const float v = momentum * velocity[k] + grad[k];
    velocity[k] = v;
    value[k] -= lr * v;
}

// rest1 = 1 - β₁, rest2 = 1 - β₂: taken off in double precision, where 1 - 0.999 keeps its digits
extern "C" __global__ void adam_step(float* __restrict__ value, const float* __restrict__ grad, float* __restrict__ m,
                                     float* __restrict__ v, float rate, float shift, float beta1, float rest1, float beta2, float rest2,
                                     int n)
{
    const int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n) return;

    const float g = grad[k];
    const float first = beta1 * m[k] + rest1 * g;
    const float second = beta2 * v[k] + rest2 * g * g;
    m[k] = first;
    v[k] = second;
    value[k] -= rate * first / (sqrtf(second) + shift);
}
