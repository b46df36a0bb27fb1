// How a float becomes a factor for mma_tf32 (ptx.cuh), which looks at 10 of the 23 bits of its mantissa and ignores the 13 below.
#pragma once

// One factor, for results off by about 3e-4 in norm. The core cuts off what TF32 does not keep; added before the cut, half a step of
// TF32 makes it a rounding. A step is 2^-11 to 2^-10 of the number, half a step ln 2 · 2^-11 of it on the average: so the rounding may
// be off by 0.7 of a step, where PTX's own (cvt.rna.tf32) keeps to 0.5, but it is one instruction and not three. Numbers of TF32,
// infinities and NaN stay what they are.
__device__ __forceinline__ void to_nearest(unsigned& bits)
{
    bits = __float_as_uint(__uint_as_float(bits) * 1.00033845f);
}

// Two factors, for fp32's accuracy. bits: what TF32 keeps of a number; rest: the bits below. Cutting is exact, and the core may cut
// the rest again.
__device__ __forceinline__ void split(unsigned& bits, unsigned& rest)
{
    const float whole = __uint_as_float(bits);
    bits &= ~0x1fffu;
    rest = __float_as_uint(whole - __uint_as_float(bits));
}
